"""Sessions and their refresh tokens: no resources, no revision, no part of the change log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, select, update

from smoothcore_server.domain.session import RefreshToken, Session, SessionEnd
from smoothcore_server.store import models

_S = models.session.c
_T = models.refresh_token.c
_SESSION = select(
    _S.id,
    _S.user_id,
    _S.create_time,
    _S.expire_time,
    _S.last_used_time,
    _S.revoke_time,
    _S.revoke_reason,
)
_BY_ID = _SESSION.where(
    _S.organization_id == bindparam("organization"), _S.id == bindparam("session_id")
)
_TOKEN = select(
    _T.organization_id,
    _T.id,
    _T.session_id,
    _T.secret_hash,
    _T.expire_time,
    _T.used_time,
    _S.user_id,
).join_from(models.refresh_token, models.session)
_TOKEN_BY_ID = _TOKEN.where(_T.id == bindparam("token_id"))
_REVOKED_SINCE = select(_S.organization_id, _S.id).where(_S.revoke_time >= bindparam("since"))
_LOGIN = (
    select(
        models.user_account.c.id, models.user_account.c.disabled, models.user_secret.c.password_hash
    )
    .join_from(models.person, models.user_account)
    .join(models.user_secret)
    .where(
        models.person.c.organization_id == bindparam("organization"),
        models.person.c.email_key == bindparam("email_key"),
    )
)
KEPT_FOR = timedelta(days=30)
"""Sessions that have ended are listed for so long."""


@dataclass(frozen=True, slots=True)
class LoginCandidate:
    """Who may be logging in."""

    user_id: str
    disabled: bool
    password_hash: str
    renewed_hash: str | None = None
    """What to store instead, where that was made with other parameters than new ones are."""


def find_login(connection: Connection, organization: str, email_key: str) -> LoginCandidate | None:
    """The user of an address who has a password. One statement, whatever is there: time does not
    tell an unknown organization from an unknown user."""
    parameters = {"organization": organization, "email_key": email_key}
    row = connection.execute(_LOGIN, parameters).first()
    return None if row is None else LoginCandidate(row.id, row.disabled, row.password_hash)


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A refresh token, and whose it is."""

    organization: str
    user_id: str
    token: RefreshToken


def find_refresh_token(connection: Connection, token_id: str) -> PresentedToken | None:
    """A refresh token by its id alone."""
    row = connection.execute(_TOKEN_BY_ID, {"token_id": token_id}).first()
    return None if row is None else PresentedToken(row.organization_id, row.user_id, _token(row))


def revoked_since(connection: Connection, since: datetime) -> set[tuple[str, str]]:
    """(organization, session id) of those that were ended since a moment."""
    return {(row[0], row[1]) for row in connection.execute(_REVOKED_SINCE, {"since": since})}


def forget_old(connection: Connection, now: datetime) -> int:
    """Delete the sessions that ended long ago, with their tokens; gives how many."""
    statement = models.session.delete().where(_S.expire_time < now - KEPT_FOR)
    return connection.execute(statement).rowcount


class SessionTable:
    """The sessions of one organization."""

    def __init__(self, connection: Connection, organization: str) -> None:
        self._connection = connection
        self._organization = organization

    def find(self, session_id: str) -> Session | None:
        """A session, ended or not."""
        parameters = {"organization": self._organization, "session_id": session_id}
        row = self._connection.execute(_BY_ID, parameters).first()
        return None if row is None else _session(row)

    def of_user(
        self, user_id: str, now: datetime, valid_after: datetime | None, behind: str, limit: int
    ) -> list[Session]:
        """The sessions of a user that go on, the newest first, behind the id of another."""
        query = _SESSION.where(
            _S.organization_id == self._organization,
            _S.user_id == user_id,
            _S.revoke_time.is_(None),
            _S.expire_time > now,
        )
        if valid_after is not None:
            query = query.where(_S.create_time > valid_after)
        if behind:
            query = query.where(_S.id < behind)  # Ids sort by the time they were made.
        query = query.order_by(_S.id.desc()).limit(limit)
        return [_session(row) for row in self._connection.execute(query)]

    def insert(self, session: Session) -> None:
        """Note a session that begins."""
        self._connection.execute(
            models.session.insert().values(
                organization_id=self._organization,
                id=session.id,
                user_id=session.user_id,
                create_time=session.create_time,
                expire_time=session.expire_time,
                last_used_time=session.last_used_time,
                revoke_reason="",
            )
        )

    def used(self, session_id: str, now: datetime) -> None:
        """Note that a session was renewed."""
        self._connection.execute(
            update(models.session).where(self._is(session_id)).values(last_used_time=now)
        )

    def revoke(self, session_id: str, reason: SessionEnd, now: datetime) -> None:
        """End a session; one that was ended before stays as it is."""
        self._connection.execute(
            update(models.session)
            .where(self._is(session_id), _S.revoke_time.is_(None))
            .values(revoke_time=now, revoke_reason=reason.value)
        )

    def revoke_others(self, user_id: str, kept_id: str, reason: SessionEnd, now: datetime) -> None:
        """End all sessions of a user but one."""
        self._connection.execute(
            update(models.session)
            .where(
                _S.organization_id == self._organization,
                _S.user_id == user_id,
                _S.id != kept_id,
                _S.revoke_time.is_(None),
            )
            .values(revoke_time=now, revoke_reason=reason.value)
        )

    def insert_token(self, token: RefreshToken) -> None:
        """Note a refresh token."""
        self._connection.execute(
            models.refresh_token.insert().values(
                organization_id=self._organization,
                id=token.id,
                session_id=token.session_id,
                secret_hash=token.secret_hash,
                expire_time=token.expire_time,
            )
        )

    def find_token(self, token_id: str) -> RefreshToken | None:
        """A refresh token as it is now."""
        query = _TOKEN.where(_T.organization_id == self._organization, _T.id == token_id)
        row = self._connection.execute(query).first()
        return None if row is None else _token(row)

    def use_token(self, token_id: str, now: datetime) -> None:
        """Note that a refresh token was exchanged."""
        self._connection.execute(
            update(models.refresh_token)
            .where(_T.organization_id == self._organization, _T.id == token_id)
            .values(used_time=now)
        )

    def _is(self, session_id: str) -> ColumnElement[bool]:
        return (_S.organization_id == self._organization) & (_S.id == session_id)


def _session(row: Any) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id,
        create_time=row.create_time,
        expire_time=row.expire_time,
        last_used_time=row.last_used_time,
        revoke_time=row.revoke_time,
        revoke_reason=SessionEnd(row.revoke_reason) if row.revoke_reason else None,
    )


def _token(row: Any) -> RefreshToken:
    return RefreshToken(row.id, row.session_id, row.secret_hash, row.expire_time, row.used_time)
