"""A user's session: the tokens of a login, and how they are renewed before they expire."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from smoothcore.v1.auth_service_pb2 import (
    LoginResponse,
    RefreshTokenRequest,
    RefreshTokenResponse,
)
from smoothcore_client._errors import SmoothCoreError, Unauthenticated

RENEW_AFTER = 0.8
"""Of its life: an access token is renewed before a call could be refused."""
_OVER = "the session is over; log in again"


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """What a login has given, and its newest renewal."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    received: float
    """When, in seconds since 1970 by this computer's clock, which need not be right."""
    valid_for: float
    """Seconds that the access token works from then on."""
    session: str = ""
    """Name of the session, "sessions/0192…"."""
    session_end: float = 0.0
    """When the session ends, in seconds since 1970 by the server's clock."""

    @classmethod
    def of(cls, reply: LoginResponse | RefreshTokenResponse) -> SessionTokens:
        """The tokens of a reply that has just come."""
        return cls(
            access_token=reply.access_token,
            refresh_token=reply.refresh_token,
            received=time.time(),
            valid_for=reply.access_token_valid_for.ToTimedelta().total_seconds(),
            session=reply.session,
            session_end=reply.session_expire_time.ToNanoseconds() / 1e9,
        )

    def is_due(self, now: float) -> bool:
        """Whether the access token should be renewed before it is used."""
        age = now - self.received
        return not 0 <= age < self.valid_for * RENEW_AFTER


class SessionStore(Protocol):
    """Where the tokens of a session are kept, perhaps for several processes."""

    def load(self) -> SessionTokens | None:
        """What is kept; None when nobody is logged in."""

    def save(self, tokens: SessionTokens | None) -> None:
        """Keep these; None to forget."""

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Keeps others from renewing: a refresh token works once, and a second use ends the
        session."""


class MemoryStore:
    """Keeps the tokens for the life of a client."""

    def __init__(self) -> None:
        self._tokens: SessionTokens | None = None

    def load(self) -> SessionTokens | None:
        """See `SessionStore`."""
        return self._tokens

    def save(self, tokens: SessionTokens | None) -> None:
        """See `SessionStore`."""
        self._tokens = tokens

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """See `SessionStore`; there is nobody else."""
        yield


Refresh = Callable[[RefreshTokenRequest], Awaitable[RefreshTokenResponse]]


class Session:
    """Gives access tokens that work."""

    def __init__(self, store: SessionStore, refresh: Refresh) -> None:
        self._store = store
        self._refresh = refresh
        self._tokens = store.load()
        self._renewal: asyncio.Future[str] | None = None
        self._asked: tuple[str, str] = ("", "")

    @property
    def is_open(self) -> bool:
        """Whether somebody is logged in."""
        return self._tokens is not None

    @property
    def token(self) -> str | None:
        """The newest access token, whether it still works or not; None when nobody is logged in."""
        return self._tokens.access_token if self._tokens is not None else None

    @property
    def end_time(self) -> datetime | None:
        """When the session ends, by the server's clock; None when nobody is logged in."""
        if self._tokens is None:
            return None
        return datetime.fromtimestamp(self._tokens.session_end, UTC)

    def begin(self, tokens: SessionTokens | None) -> None:
        """Go on with the tokens of another login; None after a logout."""
        self._store.save(tokens)
        self._tokens = tokens

    async def access_token(self) -> str:
        """A token for a call that is made now; renewed when it is about to expire.

        Raises Unauthenticated when the session is over, and whatever else a call may raise.
        """
        tokens = self._tokens
        if tokens is not None and not tokens.is_due(time.time()):
            return tokens.access_token
        return await self.renewed(tokens.access_token if tokens else "")

    async def renewed(self, rejected: str) -> str:
        """Another token than one that was refused, or that is about to expire."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.ensure_future(self._renew(rejected))
            self._renewal.add_done_callback(_seen)
        # Not cut off together with a call that waits for it: the next tokens would be lost.
        return await asyncio.shield(self._renewal)

    async def settle(self) -> None:
        """Wait until a renewal that is on its way has ended."""
        if self._renewal is not None:
            await asyncio.wait([self._renewal])

    async def _renew(self, rejected: str) -> str:
        async with self._store.lock():
            # While this one waited, another process may have renewed it.
            tokens = self._store.load()
            if tokens is None:
                raise Unauthenticated("nobody is logged in any more; log in again")
            if tokens.access_token == rejected or tokens.is_due(time.time()):
                tokens = await self._exchange(tokens)
                self._store.save(tokens)
            self._tokens = tokens
            return tokens.access_token

    async def _exchange(self, tokens: SessionTokens) -> SessionTokens:
        """The next tokens. If an answer was lost, the same question is asked again: with another
        request_id it would look as if somebody else had the token."""
        if self._asked[0] != tokens.refresh_token:
            self._asked = (tokens.refresh_token, str(uuid.uuid4()))
        request = RefreshTokenRequest(refresh_token=tokens.refresh_token, request_id=self._asked[1])
        reply = await self._refresh(request)
        if not reply.refresh_token:
            raise Unauthenticated(f"an answer with the next tokens was lost: {_OVER}")
        return SessionTokens.of(reply)


def _seen(renewal: asyncio.Future[str]) -> None:
    """Whoever waited for it may be gone; its failure is no fault of the program."""
    if not renewal.cancelled():
        renewal.exception()


def is_refusal(error: SmoothCoreError) -> bool:
    """Whether a call was refused for its credential, so that another token may help."""
    return isinstance(error, Unauthenticated) and bool(error.reason)
