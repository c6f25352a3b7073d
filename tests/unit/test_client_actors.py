"""Who made a change, as the command tells it: names where they are to be had, or else ids."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from smoothcore.v1.change_set_pb2 import ChangeSet
from smoothcore.v1.identity_service_pb2 import BatchGetActorsRequest, GetUserRequest
from smoothcore_client import AsyncClient
from smoothcore_client.cli.actors import Actors
from tests.unit.test_client_fakes import FakeServer, error_info, fake, rich_status

__all__ = ["fake"]

ANN, BOB = "users/0192", "users/0193"


@pytest.fixture
async def client(fake: FakeServer) -> AsyncIterator[AsyncClient]:
    fake.identity.people = {ANN: ("Ann", "ann@example.com"), BOB: ("", "bob@example.com")}
    async with AsyncClient(fake.address, api_key="sk_1") as opened:
        yield opened


async def test_what_is_asked_for_together_is_read_in_one_call_and_once(
    fake: FakeServer, client: AsyncClient
) -> None:
    actors = Actors(client)
    await actors.learn([ANN, "system/readiness", ANN, ""])
    await actors.learn(["system/readiness", "apiKeys/7"])
    assert await actors.name(ANN) == "Ann"
    assert await actors.name("system/readiness") == "system/readiness"
    assert fake.identity.requests == [
        BatchGetActorsRequest(names=[ANN, "system/readiness"]),
        BatchGetActorsRequest(names=["apiKeys/7"]),
    ]


async def test_more_than_fit_into_a_call_are_read_in_several(
    fake: FakeServer, client: AsyncClient
) -> None:
    names = [f"users/{number}" for number in range(250)]
    assert [actor.name for actor in await client.actors(names)] == names
    assert [len(request.names) for request in fake.identity.requests] == [100, 100, 50]


async def test_the_client_of_a_credential_goes_before_its_name(
    fake: FakeServer, client: AsyncClient
) -> None:
    actors = Actors(client)
    assert await actors.of(ChangeSet(actor=ANN, client="cam-7")) == "cam-7"
    assert fake.identity.requests == []
    assert await actors.of(ChangeSet(actor=ANN)) == "Ann"


@pytest.mark.parametrize("permission", ["users.read", "*"])
async def test_a_user_without_a_name_is_known_by_e_mail_to_whoever_may_read_it(
    fake: FakeServer, client: AsyncClient, permission: str
) -> None:
    fake.auth.permissions = ("jobs.read", permission)
    assert await Actors(client).name(BOB) == "bob@example.com"


async def test_nobody_else_asks_for_the_e_mail_of_a_user_without_a_name(
    fake: FakeServer, client: AsyncClient
) -> None:
    """Each such call would be refused, and noted as a security event."""
    fake.auth.permissions = ("jobs.read", "apikeys.read")
    assert await Actors(client).name(BOB) == BOB
    assert GetUserRequest(name=BOB) not in fake.identity.requests


async def test_a_server_that_does_not_know_the_call_is_asked_as_before(
    fake: FakeServer, client: AsyncClient
) -> None:
    fake.identity.is_old = True
    fake.auth.principal = "apiKeys/mine"
    actors = Actors(client)
    await actors.learn([ANN, BOB, "apiKeys/mine", "users/none"])
    assert await actors.name(ANN) == "Ann"
    assert await actors.name(BOB) == "bob@example.com"
    assert await actors.name("apiKeys/mine") == "the tests"
    assert await actors.name("users/none") == "users/none"


async def test_what_could_not_be_read_is_asked_for_again(
    fake: FakeServer, client: AsyncClient
) -> None:
    fake.identity.statuses.append(
        rich_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "slower", error_info("RATE_LIMITED"))
    )
    actors = Actors(client)
    assert await actors.name(ANN) == ANN
    assert await actors.name(ANN) == "Ann"
