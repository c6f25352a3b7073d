"""Checking a login: the same work and the same answer, whatever is wrong with it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smoothcore_server.app.lockout import Lockout
from smoothcore_server.app.passwords import PasswordHasher, Verified, Who
from smoothcore_server.app.security_events import Note
from smoothcore_server.app.sessions import invalid_login
from smoothcore_server.domain.errors import (
    ErrorReason,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.security_event import SecurityEventKind
from smoothcore_server.domain.user import Person
from smoothcore_server.store import session_table
from smoothcore_server.store.session_table import LoginCandidate
from smoothcore_server.store.store import Store


class WrongPasswordError(PermissionDeniedError):
    """What was given as one's own password is another."""

    def __init__(self) -> None:
        super().__init__(
            ErrorReason.PERMISSION_DENIED,
            "current_password is not your password; check it, and try again",
        )


class Logins:
    """Checks organizations, e-mail addresses and passwords."""

    def __init__(
        self, store: Store, passwords: PasswordHasher, lockout: Lockout, note: Note
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._lockout = lockout
        self._note = note

    async def check(
        self, organization: str, email: str, password: str, address: str
    ) -> LoginCandidate:
        """Who it is. ``address`` is where the call comes from; empty for a local socket.

        Raises UnauthenticatedError when anything is wrong, after one look-up and one hash in each
        case; ResourceExhaustedError for an attempt that comes too early, or when too many
        passwords are being checked.
        """
        account = _account(organization, email)
        await self._begin(organization, account, address)
        candidate = await self._store.run_read(
            lambda connection: session_table.find_login(
                connection, organization, Person(email).email_key
            )
        )
        stored = candidate.password_hash if candidate is not None else None
        verified = await self._verify(account, address, stored, password, None)
        if candidate is None or candidate.disabled or not verified.is_right:
            self._note(SecurityEventKind.LOGIN_REFUSED, organization=organization)
            raise invalid_login()
        await self._lockout.succeeded(account, address)
        return dataclasses.replace(candidate, renewed_hash=verified.renewed)

    @asynccontextmanager
    async def own_password(
        self, who: Principal, email: str, stored: str | None, password: str, address: str
    ) -> AsyncIterator[bool]:
        """Whether a password is that of a user who is calling. Within the block a wrong one is
        refused by `wrong_password`, and then counts as a login in vain does; a block that ends
        well has looked at no password.

        Raises ResourceExhaustedError for an attempt that comes too early, for a second one at the
        same time, or when too many passwords are being checked.
        """
        account = _account(who.organization, email)
        await self._begin(who.organization, account, address)
        place = (who.organization, who.name)
        is_right = (await self._verify(account, address, stored, password, place)).is_right
        if is_right:
            await self._lockout.succeeded(account, address)
        try:
            yield is_right
        except WrongPasswordError:
            self._note(SecurityEventKind.LOGIN_REFUSED, organization=who.organization)
            raise
        if not is_right:
            await self._lockout.abandoned(account, address)

    async def _verify(
        self, account: str, address: str, stored: str | None, password: str, who: Who | None
    ) -> Verified:
        try:
            return await self._passwords.verify(stored, password, who)
        except ResourceExhaustedError:
            await self._lockout.abandoned(account, address)
            raise

    async def _begin(self, organization: str, account: str, address: str) -> None:
        try:
            await self._lockout.begin(account, address)
        except ResourceExhaustedError:
            self._note(SecurityEventKind.LOGIN_LOCKED_OUT, organization=organization)
            raise


def _account(organization: str, email: str) -> str:
    """A name of an account for counting, which does not say whose it is."""
    text = f"{organization}\n{Person(email).email_key}"
    return hashlib.sha256(text.encode()).hexdigest()
