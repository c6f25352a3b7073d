"""The client's sessions against a real server: renewed in time, once, and never lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from smoothcore.v1.auth_service_pb2 import WhoAmIRequest
from smoothcore.v1.tool_service_pb2 import ListToolsRequest
from smoothcore_client import (
    AsyncClient,
    Backoff,
    Client,
    InsecureTransportError,
    ResourceExhausted,
    SessionTokens,
    Unauthenticated,
    WatchEventKind,
)
from smoothcore_server.domain.lockout import ACCOUNT
from smoothcore_server.store.store import utc_now
from tests.support.logins import add_user, login, new_password
from tests.support.requests import PASSWORD, create_tool
from tests.support.smooth import Caller, SmoothServer

WHO = ("default", "ann@example.com", PASSWORD)
FAST = Backoff(0.01, 0.05)


@pytest.fixture
async def ann(server: SmoothServer, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> str:
    """An engineer."""
    monkeypatch.delenv("SMOOTH_API_KEY", raising=False)
    return await add_user(caller, "ann", "engineer")


@pytest.fixture
async def client(server: SmoothServer, ann: str) -> AsyncIterator[AsyncClient]:
    """A client that she is logged in with."""
    async with AsyncClient(server.address, reconnect=FAST) as made:
        await made.login(*WHO)
        yield made


def pass_time(server: SmoothServer, **span: float) -> None:
    """Let time pass for the server; the client's clock is what it was."""
    later = utc_now() + timedelta(**span)
    begun = time.monotonic()
    server.application.store.clock = lambda: later + timedelta(seconds=time.monotonic() - begun)


async def until_over(call: Callable[[], Awaitable[object]]) -> None:
    """Repeat a call until it is refused because the session is over."""
    async with asyncio.timeout(20):
        while True:
            try:
                await call()
            except Unauthenticated as error:
                if "log in again" in error.message:
                    return
                raise
            await asyncio.sleep(0.05)


def set_clock(monkeypatch: pytest.MonkeyPatch, **span: float) -> None:
    """Set the clock that the client judges its tokens by; gRPC's own stays."""
    now = time.time() + timedelta(**span).total_seconds()
    monkeypatch.setattr("smoothcore_client._session.time", SimpleNamespace(time=lambda: now))


class Shared:
    """A store that two clients share, as two processes would."""

    def __init__(self) -> None:
        self.tokens: SessionTokens | None = None
        self.renewals = 0
        self.held = asyncio.Lock()

    def load(self) -> SessionTokens | None:
        return self.tokens

    def save(self, tokens: SessionTokens | None) -> None:
        self.renewals += 1
        self.tokens = tokens

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        async with self.held:
            yield


# Refusals


async def test_a_password_never_travels_in_plaintext_to_another_computer() -> None:
    async with AsyncClient("hub.shop.example:50051") as client:
        with pytest.raises(InsecureTransportError):
            await client.login(*WHO)


async def test_a_stored_session_never_travels_in_plaintext_to_another_computer() -> None:
    store = Shared()
    store.tokens = SessionTokens("a", "rt", time.time(), 600)
    with pytest.raises(InsecureTransportError):
        AsyncClient("hub.shop.example:50051", session_store=store)


async def test_a_client_with_a_key_logs_nobody_in(server: SmoothServer, ann: str) -> None:
    async with AsyncClient(server.address, api_key=server.admin_key) as client:
        with pytest.raises(ValueError, match="has an API key"):
            await client.login(*WHO)


async def test_a_wrong_password_is_an_error_that_says_nothing_more(
    server: SmoothServer, ann: str
) -> None:
    async with AsyncClient(server.address) as client:
        for _ in range(ACCOUNT.free):
            with pytest.raises(Unauthenticated, match="do not fit together"):
                await client.login("default", "ann@example.com", "four green lions")
        with pytest.raises(ResourceExhausted) as caught:
            await client.login(*WHO)
        assert caught.value.retry_after
        assert "four green lions" not in repr(caught.value.__cause__)


async def test_a_session_that_is_over_is_an_error_in_calls_and_watches(
    server: SmoothServer, client: AsyncClient
) -> None:
    async with client.watch() as watch:
        await anext(watch)
        await server.caller().identity.ChangePassword(new_password("users/ann", "nine red foxes"))
        await until_over(lambda: anext(watch))
    await until_over(client.whoami)


async def test_tokens_are_in_no_text_of_the_client(client: AsyncClient) -> None:
    assert client._session is not None
    tokens = client._session._tokens
    assert tokens is not None
    assert tokens.access_token not in repr(tokens)
    assert tokens.refresh_token not in repr(tokens)


# Renewing


async def test_a_token_is_renewed_before_it_expires(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client._credential()
    await client.whoami()
    assert client._credential() == before
    set_clock(monkeypatch, minutes=9)
    assert (await client.whoami()).principal == "users/ann"
    assert client._credential() != before


async def test_a_clock_that_is_set_back_renews_as_well(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client._credential()
    set_clock(monkeypatch, hours=-1)
    await client.whoami()
    after = client._credential()
    assert after != before
    await client.whoami()
    assert client._credential() == after


async def test_a_token_that_is_refused_is_renewed_and_the_call_made_again(
    server: SmoothServer, client: AsyncClient
) -> None:
    """Whatever this computer's clock says."""
    pass_time(server, minutes=11)
    assert (await client.whoami()).principal == "users/ann"
    made = await client.tools.CreateTool(create_tool("t9"))
    assert [tool.name async for tool in client.list_tools()] == [made.name]


async def test_many_calls_at_once_renew_once(server: SmoothServer, client: AsyncClient) -> None:
    """Each of them with the old token; a second renewal would end the session."""
    for minutes in (11, 22, 33):
        pass_time(server, minutes=minutes)
        answers = await asyncio.gather(*(client.whoami() for _ in range(20)))
        assert {answer.principal for answer in answers} == {"users/ann"}


async def test_two_processes_with_one_session_renew_once(server: SmoothServer, ann: str) -> None:
    store = Shared()
    async with AsyncClient(server.address, session_store=store) as first:
        await first.login(*WHO)
        async with AsyncClient(server.address, session_store=store) as second:
            for minutes in (11, 22, 33):
                pass_time(server, minutes=minutes)
                await asyncio.gather(first.whoami(), second.whoami())
    assert store.renewals == 1 + 3


async def test_a_caller_who_gives_up_does_not_lose_the_next_tokens(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up between the server's commit and the answer's coming in."""
    session = client._session
    assert session is not None
    original, answered = session._refresh, asyncio.Event()

    async def slow(request: Any) -> Any:
        reply = await original(request)
        answered.set()
        await asyncio.sleep(0.05)
        return reply

    monkeypatch.setattr(session, "_refresh", slow)
    set_clock(monkeypatch, minutes=9)
    call = asyncio.ensure_future(client.tools.ListTools(ListToolsRequest()))
    await answered.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert call.cancelled()
    assert (await client.whoami()).principal == "users/ann"


async def test_an_answer_that_was_lost_is_asked_for_again_and_looks_like_no_theft(
    server: SmoothServer, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = client._session
    assert session is not None
    original, asked = session._refresh, []

    async def lost(request: Any) -> Any:
        asked.append(request.request_id)
        await original(request)
        raise ConnectionError

    monkeypatch.setattr(session, "_refresh", lost)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await session.renewed(session.token or "")
    assert len(set(asked)) == 1
    monkeypatch.setattr(session, "_refresh", original)
    with pytest.raises(Unauthenticated, match="was lost"):
        await session.renewed(session.token or "")
    # The access token still works: the session was not ended.
    assert (await client.auth.WhoAmI(WhoAmIRequest())).principal == "users/ann"


async def test_a_watch_goes_on_with_the_next_token_and_loses_nothing(
    server: SmoothServer, caller: Caller, client: AsyncClient
) -> None:
    seen: list[str] = []
    made: list[str] = []
    async with client.watch(types=["tool"]) as watch:
        await anext(watch)
        for number in range(30):
            made.append((await caller.tools.CreateTool(create_tool(f"t{number}"))).name)
            if number % 10 == 5:
                pass_time(server, minutes=11 * (number // 10 + 1))
        async with asyncio.timeout(30):
            while len(seen) < len(made):
                event = await anext(watch)
                if event.kind is WatchEventKind.CHANGES and event.change_set is not None:
                    seen += [change.name for change in event.change_set.changes]
    assert seen == made


async def test_an_upload_begins_with_a_token_that_works(
    server: SmoothServer, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, minutes=9)
    assert (await client.upload_program(b"T1 M6\n")).name


# Beginning and ending


async def test_logging_out_ends_the_session(server: SmoothServer, client: AsyncClient) -> None:
    token = client._credential()
    assert token
    assert client.session_end_time is not None
    assert utc_now() < client.session_end_time.astimezone(UTC) < utc_now() + timedelta(hours=13)
    await client.logout()
    assert client.session_end_time is None
    with pytest.raises(Unauthenticated):
        await client.whoami()
    await client.logout()  # Once more changes nothing.
    async with AsyncClient(server.address, api_key=token) as other:
        await until_over(other.whoami)


async def test_another_login_takes_the_place_of_the_first(
    server: SmoothServer, caller: Caller, client: AsyncClient
) -> None:
    await add_user(caller, "bob")
    await client.login("default", "bob@example.com", PASSWORD)
    assert (await client.whoami()).principal == "users/bob"


async def test_a_session_that_was_ended_elsewhere_is_forgotten_by_logging_out(
    server: SmoothServer, client: AsyncClient
) -> None:
    session = await server.caller("").auth.Login(login("ann"))
    assert session.session
    await server.caller().identity.ChangePassword(new_password("users/ann", "nine red foxes"))
    await asyncio.sleep(0.6)
    await client.logout()
    assert client.session_end_time is None


async def test_the_plain_client_does_the_same(server: SmoothServer, ann: str) -> None:
    def story() -> tuple[str, int]:
        with Client(server.address) as client:
            client.login(*WHO)
            assert client.session_end_time is not None
            name = client.whoami().principal
            count = len(list(client.list_tools()))
            client.logout()
            return name, count

    assert await asyncio.to_thread(story) == ("users/ann", 0)
