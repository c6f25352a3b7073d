"""What a first start prints: commands that work as they are."""

from __future__ import annotations

import pytest

from smoothcore_client._channel import is_loopback
from smoothcore_server.bootstrap import FirstStart
from smoothcore_server.cli.serving import _tell_first_start
from smoothcore_server.config import Settings


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "[::]:50051", "127.0.0.1:50051"])
def test_the_first_command_calls_this_computer(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _tell_first_start(Settings(), address, FirstStart("default", "sk_x"))
    said = capsys.readouterr().out
    server = said.partition("--server ")[2].split()[0]
    assert is_loopback(server)
    assert server.endswith(":50051")
    assert f" {server} smoothcore.v1" in said
