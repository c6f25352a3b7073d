"""The synchronous client: the same, without asyncio."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque

import grpc
import pytest

from smoothcore.v1.change_service_pb2 import WatchChangesRequest
from smoothcore.v1.change_set_pb2 import ChangeSet
from smoothcore.v1.machine_pb2 import Machine
from smoothcore.v1.tool_service_pb2 import GetToolRequest
from smoothcore_client import AsyncClient, Backoff, Client, InsecureTransportError, NotFound
from tests.unit.test_client_fakes import FakeServer, error_info, fake, rich_status

__all__ = ["fake"]


def public_names(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


def test_both_clients_have_the_same_methods() -> None:
    assert public_names(Client) - {"close"} == public_names(AsyncClient) - {"aclose"}


def test_both_clients_take_the_same_arguments() -> None:
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


async def test_calls_return_replies(fake: FakeServer) -> None:
    def story() -> tuple[str, str]:
        with Client(fake.address, api_key="sk_1") as client:
            tool = client.tools.GetTool(GetToolRequest(name="tools/t7"), timeout=5)
            return tool.name, client.whoami().display_name

    assert await asyncio.to_thread(story) == ("tools/t7", "the tests")
    assert fake.tools.metadata[0]["authorization"] == "Bearer sk_1"


async def test_errors_are_the_same(fake: FakeServer) -> None:
    fake.tools.statuses.append(
        rich_status(grpc.StatusCode.NOT_FOUND, "no such tool", error_info("RESOURCE_NOT_FOUND"))
    )

    def story() -> None:
        with Client(fake.address) as client:
            client.tools.GetTool(GetToolRequest(name="tools/t7"))

    with pytest.raises(NotFound, match="no such tool"):
        await asyncio.to_thread(story)


async def test_lists_are_plain_iterators(fake: FakeServer) -> None:
    fake.machines.machines = [Machine(name=f"machines/m{i}") for i in range(5)]

    def story() -> tuple[list[str], int]:
        with Client(fake.address) as client:
            pager = client.list_machines(page_size=2)
            names = [machine.name for machine in pager]
            assert pager.resume_token == "listed-here"
            return names, len(client.list_machines().all())

    assert await asyncio.to_thread(story) == ([f"machines/m{i}" for i in range(5)], 5)


async def test_a_watch_reconnects_here_too(fake: FakeServer) -> None:
    fake.changes.log = [ChangeSet(revision=r) for r in range(1, 6)]
    fake.changes.cuts = deque([2, 1, 3])

    def story() -> list[int]:
        found = []
        with (
            Client(fake.address, reconnect=Backoff(initial=0.01)) as client,
            client.watch() as watch,
        ):
            for event in watch:
                if event.change_set is not None:
                    found.append(event.revision)
                if event.revision == 5:
                    return found
        return found

    assert await asyncio.to_thread(story) == [1, 2, 3, 4, 5]


async def test_a_watch_that_another_thread_closes_ends(fake: FakeServer) -> None:
    fake.changes.log = [ChangeSet(revision=1)]

    def story() -> list[int]:
        with Client(fake.address) as client:
            watch = client.watch()
            found = [next(watch).revision, next(watch).revision]
            closing = threading.Timer(0.05, watch.close)
            closing.start()
            found += [event.revision for event in watch]
            closing.join()
            return found

    assert await asyncio.to_thread(story) == [0, 1]


async def test_a_stream_of_a_stub_is_a_plain_iterator(fake: FakeServer) -> None:
    fake.changes.log = [ChangeSet(revision=1)]

    def story() -> list[str]:
        with Client(fake.address) as client:
            stream = client.changes.WatchChanges(WatchChangesRequest())
            return [next(stream).resume_token, next(stream).resume_token]

    assert await asyncio.to_thread(story) == ["0", "1"]


def test_arguments_are_checked_alike() -> None:
    with pytest.raises(InsecureTransportError):
        Client("hub:50051", api_key="sk_1")
