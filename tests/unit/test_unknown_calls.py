"""Servers are made also where grpc has changed inside."""

from __future__ import annotations

from typing import Any

import grpc.aio
import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]
from structlog.testing import capture_logs

from smoothcore_server.transport.unknown_calls import INSIDES, make_server


def class_in(server: Any) -> type:
    """Of the server of the C core's binding that it is around."""
    return type(server._server)


async def test_this_version_of_grpc_has_what_is_needed() -> None:
    usual = cygrpc.AioServer
    with capture_logs() as logs:
        server = make_server((), ())
    assert logs == []
    assert issubclass(class_in(server), usual)
    assert class_in(server) is not usual
    assert cygrpc.AioServer is usual


@pytest.mark.parametrize("name", INSIDES[1:])
async def test_one_that_lacks_it_gets_a_usual_server_and_a_warning(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delattr(cygrpc, name)
    with capture_logs() as logs:
        server = make_server((), ())
    assert isinstance(server, grpc.aio.Server)
    assert class_in(server) is cygrpc.AioServer
    assert [line["missing"] for line in logs] == [[name]]
