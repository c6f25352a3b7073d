"""How a command runs: with the settings of the call, a client and an output."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from smoothcore_client._channel import TLS
from smoothcore_client._client import AsyncClient
from smoothcore_client._connection import DEFAULT_TARGET
from smoothcore_client._session import SessionStore
from smoothcore_client.cli.config import Login, StoredSession, load_login
from smoothcore_client.cli.output import Output

OK, NOT_GOOD, ERROR, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141


class CommandError(Exception):
    """A command cannot be carried out as it was given."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options, as they were given."""

    server: str | None = None
    key: str | None = None
    key_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    cert_key: Path | None = None
    tls: bool = False
    insecure: bool = False
    json: bool = False
    timeout: float = 30.0

    def login(self) -> Login:
        """The options, completed by what `smooth login` has stored.

        What is stored goes to the server it was stored for and to no other.
        """
        stored = load_login()
        server = self.server or (stored.server if stored else DEFAULT_TARGET)
        _refuse_unclear(server)
        known = stored if stored and stored.server == server else Login(server)
        key = self._key()
        cert, cert_key = self._certificate(known)
        return Login(
            server=server,
            key=key or known.key,
            ca=str(self.ca or known.ca),
            cert=cert,
            cert_key=cert_key,
            tls=self.tls or known.tls,
            insecure=self.insecure or known.insecure,
            session=None if key else known.session,
        )

    def _certificate(self, known: Login) -> tuple[str, str]:
        """The client's certificate and its key, which belong together."""
        if (self.cert is None) != (self.cert_key is None):
            raise CommandError("--cert and --cert-key go together")
        if self.cert is None:
            return known.cert, known.cert_key
        return str(self.cert.absolute()), str(self.cert_key and self.cert_key.absolute())

    def _key(self) -> str:
        if self.key_file is not None:
            return self.key_file.read_text(encoding="utf-8").strip()
        return self.key or ""


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with."""

    client: AsyncClient
    out: Output


def _refuse_unclear(server: str) -> None:
    """Raise CommandError for what looks like an address and is none, or only half of one: gRPC
    would look for the name "http", or for a server on port 443."""
    scheme, found, _ = server.partition("://")
    if found and scheme.lower() in ("http", "https", "grpc", "grpcs"):
        raise CommandError(f"{server} is no server", "write HOST:PORT, and add --tls for TLS")
    if not any(mark in server for mark in ":/"):
        raise CommandError(f"{server} names no port", f"write {server}:50051")


Work = Callable[[Session], Awaitable[int | None]]
"""The work of a command: returns its exit code; None is OK."""


def open_client(
    login: Login, timeout: float, session_store: SessionStore | None = None
) -> AsyncClient:
    """A client for a login."""
    tls: TLS | None = None
    if login.tls or login.ca or login.cert:
        tls = TLS(
            ca=login.ca or None,
            certificate=login.cert or None,
            private_key=login.cert_key or None,
        )
    return AsyncClient(
        login.server,
        # The options hold what the environment says; a login without a key has none.
        api_key=login.key,
        tls=tls,
        insecure=login.insecure,
        deadline=timeout,
        session_store=session_store,
    )


def run(ctx: typer.Context, work: Work) -> None:
    """Runs the work of a command, and exits with its code."""
    settings: Settings = ctx.obj

    async def session() -> int | None:
        login = settings.login()
        store = StoredSession(login) if login.session else None
        async with open_client(login, settings.timeout, store) as client:
            return await work(Session(client, Output(json=settings.json)))

    try:
        code = asyncio.run(session())
    except BrokenPipeError:
        # Whoever read our output has seen enough (smooth watch | head). Nothing more can be
        # said, and the interpreter must not try to when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None
    if code:
        raise typer.Exit(code)
