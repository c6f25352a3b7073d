"""Sessions: beginning, renewing and ending them. One login is one session, a family of refresh
tokens of which only the newest works."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from smoothcore_server.app.users import changeable_user, get_user, principal_of_user
from smoothcore_server.domain.errors import ErrorReason, UnauthenticatedError, not_found
from smoothcore_server.domain.granting import denied
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.session import RefreshToken, Session, SessionEnd, SessionLifetimes
from smoothcore_server.domain.user import User
from smoothcore_server.store.session_table import LoginCandidate
from smoothcore_server.store.transaction import Reader, Transaction, new_id

PREFIX = "rt"
_NOTHING = b"\x00" * 32


class RefreshTokenReusedError(Exception):
    """A refresh token was presented that had been exchanged already."""


@dataclass(frozen=True, slots=True)
class NewTokens:
    """A session that begins or goes on, with the refresh token that renews it next."""

    session: Session
    user: User
    refresh_token: str
    refresh_token_expire_time: datetime


def secret_hash(key: bytes, secret: str) -> bytes:
    """What is stored of a refresh token's secret, which has 256 bits: one keyed hash."""
    return hmac.digest(key, secret.encode(), "sha256")


def parse_refresh_token(token: str) -> tuple[str, str]:
    """The id and the secret of a refresh token; empty for what is none."""
    prefix, _, rest = token.partition("_")
    token_id, _, secret = rest.partition("_")
    return (token_id, secret) if prefix == PREFIX and token_id and secret else ("", "")


def is_right(stored: RefreshToken | None, secret: str, key: bytes) -> bool:
    """Whether a secret is that of a stored token. One hash and one comparison, whether there is
    such a token or not."""
    expected = stored.secret_hash if stored is not None else _NOTHING
    return hmac.compare_digest(secret_hash(key, secret), expected) and stored is not None


def begin_session(
    tx: Transaction, checked: LoginCandidate, key: bytes, lifetimes: SessionLifetimes
) -> NewTokens:
    """Begin a session of a user whose password was right."""
    user = tx.users.find(checked.user_id)
    # While it was being checked, the password may have been changed, or the user kept out.
    unchanged = tx.user_secrets.get(checked.user_id) == checked.password_hash
    if user is None or user.disabled or not unchanged:
        raise invalid_login()
    if checked.renewed_hash is not None:
        tx.user_secrets.put(user.id, checked.renewed_hash)
    session = Session(new_id(), user.id, tx.now, tx.now + lifetimes.session, tx.now)
    tx.sessions.insert(session)
    return _next_token(tx, session, user, key, lifetimes)


def renew_session(
    tx: Transaction, token_id: str, key: bytes, lifetimes: SessionLifetimes
) -> NewTokens:
    """Exchange a refresh token, whose secret was right, for the next one.

    Raises UnauthenticatedError for one that works no more, and RefreshTokenReusedError for one
    that was exchanged already while its session goes on.
    """
    token = tx.sessions.find_token(token_id)
    session = tx.sessions.find(token.session_id) if token else None
    user = tx.users.find(session.user_id) if session else None
    if token is None or session is None or user is None:
        raise session_over()
    if user.disabled or not session.works(tx.now, user.sessions_valid_after):
        raise session_over()
    if token.used_time is not None:
        raise RefreshTokenReusedError
    if token.expire_time <= tx.now:
        raise session_over()
    tx.sessions.use_token(token.id, tx.now)
    tx.sessions.used(session.id, tx.now)
    return _next_token(tx, session, user, key, lifetimes)


def _next_token(
    tx: Transaction, session: Session, user: User, key: bytes, lifetimes: SessionLifetimes
) -> NewTokens:
    secret = secrets.token_urlsafe(32)
    token = RefreshToken(
        id=new_id().replace("-", ""),
        session_id=session.id,
        secret_hash=secret_hash(key, secret),
        expire_time=min(tx.now + lifetimes.idle, session.expire_time),
    )
    tx.sessions.insert_token(token)
    return NewTokens(session, user, f"{PREFIX}_{token.id}_{secret}", token.expire_time)


def end_session(tx: Transaction, session_id: str, reason: SessionEnd) -> None:
    """End a session with all its tokens, on every replica within a second."""
    tx.sessions.revoke(session_id, reason, tx.now)


def list_sessions(
    reader: Reader, user_id: str, caller: Principal, behind: str, limit: int
) -> list[Session]:
    """The sessions of a user that go on, the newest first, behind the id of another."""
    if f"users/{user_id}" != caller.name:
        _refuse_others(caller)
    user = get_user(reader, user_id, caller)
    return reader.sessions.of_user(user.id, reader.now, user.sessions_valid_after, behind, limit)


def revoke_session(tx: Transaction, session_id: str, caller: Principal) -> Session:
    """End a session of the caller, or of somebody whose sessions the caller may end."""
    session = tx.sessions.find(session_id)
    if session is None:
        # Without the permission, one that is not there and one of another are the same.
        _refuse_others(caller)
        raise not_found(f"sessions/{session_id}")
    if f"users/{session.user_id}" != caller.name:
        _refuse_others(caller)
        changeable_user(tx, session.user_id, caller)
    end_session(tx, session_id, SessionEnd.REVOKED)
    return tx.sessions.find(session_id) or session


def _refuse_others(caller: Principal) -> None:
    if not caller.may("users.write"):
        raise denied(
            "these are the sessions of another; this needs the permission users.write: ask an "
            "administrator",
            "users.write",
        )


def principal_of_session(
    reader: Reader, user_name: str, session_id: str, expire_time: datetime
) -> Principal:
    """Who presents an access token of a session, which itself works until a time, and what they
    may do now. Raises UnauthenticatedError when session or user works no more."""
    session = reader.sessions.find(session_id)
    user = reader.users.find(session.user_id) if session is not None else None
    if session is None or user is None or user.name != user_name:
        raise session_over()
    if not session.works(reader.now, user.sessions_valid_after):
        raise session_over()
    return principal_of_user(reader, user, session.name, expire_time)


def invalid_login() -> UnauthenticatedError:
    """The error for every login that does not work: it tells nobody what was wrong with it."""
    return UnauthenticatedError(
        ErrorReason.CREDENTIAL_INVALID,
        "organization, e-mail and password do not fit together, or the user is kept out; try "
        "again, or ask an administrator",
    )


def session_over() -> UnauthenticatedError:
    """The error for a token of a session that has ended, or that never was."""
    return UnauthenticatedError(
        ErrorReason.CREDENTIAL_INVALID, "the session is over; log in again (smooth login)"
    )


def invalid_token() -> UnauthenticatedError:
    """Says nothing of why: whoever forges tokens would learn from it."""
    return UnauthenticatedError(
        ErrorReason.CREDENTIAL_INVALID,
        "the access token is wrong or has expired; get another with RefreshToken, or log in again "
        "(smooth login)",
    )
