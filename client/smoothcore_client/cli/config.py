"""What `smooth login` remembers: one server and a credential, readable by its owner only."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from smoothcore_client._session import SessionTokens
from smoothcore_client.cli.file_lock import locked


@dataclass(frozen=True, slots=True)
class Login:
    """A server and how to reach it."""

    server: str
    key: str = dataclasses.field(default="", repr=False)
    ca: str = ""
    cert: str = ""
    cert_key: str = ""
    tls: bool = False
    insecure: bool = False
    session: SessionTokens | None = None
    """Of a user, where there is no key."""


def config_path() -> Path:
    """The file, in the user's own configuration folder; ``SMOOTH_CONFIG`` names another."""
    named = os.environ.get("SMOOTH_CONFIG")
    return Path(named) if named else Path(typer.get_app_dir("smooth")) / "login.json"


def load_login() -> Login | None:
    """What was stored; None when there is nothing, or nothing that can be read."""
    try:
        stored = json.loads(config_path().read_text(encoding="utf-8"))
        session = stored.pop("session", None)
        return Login(**stored, session=SessionTokens(**session) if session else None)
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def save_login(login: Login) -> Path:
    """Stores a login in place of the one before, and returns the file."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    # The file is made with its final rights: there is no moment in which others could read it.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(login), file, indent=2)
    draft.replace(path)
    return path


class StoredSession:
    """Keeps the session of a login in the file, for all commands that run: a `SessionStore`."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def load(self) -> SessionTokens | None:
        """The tokens as they are stored now; another command may have renewed them."""
        stored = load_login()
        if stored is None or stored.server != self._login.server:
            return self._login.session
        return stored.session

    def save(self, tokens: SessionTokens | None) -> None:
        """Store these for the next command."""
        self._login = dataclasses.replace(self._login, session=tokens)
        save_login(self._login)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Keeps other commands from renewing meanwhile."""
        path = config_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        async with locked(path.with_suffix(".lock")):
            yield
