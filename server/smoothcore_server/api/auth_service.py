"""AuthService: logging in and out, and who is calling."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, TypeVar

from smoothcore.v1 import auth_service_pb2
from smoothcore.v1.auth_service_pb2_grpc import AuthServiceServicer
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages import signing_key as message
from smoothcore_server.api.messages.values import timestamp
from smoothcore_server.api.paging import PageTokens, page_size
from smoothcore_server.app import sessions
from smoothcore_server.app.access_token import AUDIENCE, AccessTokens
from smoothcore_server.app.call import caller, current_call
from smoothcore_server.app.login import Logins
from smoothcore_server.app.security_events import Note
from smoothcore_server.app.sessions import NewTokens, RefreshTokenReusedError
from smoothcore_server.app.signing_keys import SigningKeys
from smoothcore_server.domain.errors import (
    ErrorReason,
    FailedPreconditionError,
    invalid_field,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.security_event import SecurityEventKind
from smoothcore_server.domain.session import Session, SessionEnd, SessionLifetimes
from smoothcore_server.store import session_table
from smoothcore_server.store.idempotency import Idempotency
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Author, Transaction

VERSION = version("smooth-core")
M = TypeVar("M", auth_service_pb2.LoginResponse, auth_service_pb2.RefreshTokenResponse)


@dataclass(frozen=True, slots=True)
class Sources:
    """What logging in needs."""

    store: Store
    pages: PageTokens
    logins: Logins
    tokens: AccessTokens
    signing_keys: SigningKeys
    hashing_key: bytes
    """Of refresh tokens."""
    lifetimes: SessionLifetimes
    note: Note
    check_organization: Callable[[str], Awaitable[None]]
    """Raises PermissionDeniedError for one that is suspended."""


class AuthApi(AuthServiceServicer):
    """Servicer of AuthService."""

    def __init__(self, sources: Sources) -> None:
        self._store = sources.store
        self._pages = sources.pages
        self._logins = sources.logins
        self._tokens = sources.tokens
        self._signing_keys = sources.signing_keys
        self._key = sources.hashing_key
        self._lifetimes = sources.lifetimes
        self._note = sources.note
        self._check_organization = sources.check_organization

    async def Login(
        self, request: auth_service_pb2.LoginRequest, context: Any
    ) -> auth_service_pb2.LoginResponse:
        organization, address = request.organization, current_call.get().address
        checked = await self._logins.check(organization, request.email, request.password, address)
        user = f"users/{checked.user_id}"
        answer = await self._begin_or_renew(
            _author(organization, user, request.request_id),
            # Neither address nor password: this is stored, and the actor says who it is.
            auth_service_pb2.LoginRequest(organization=organization),
            auth_service_pb2.LoginResponse,
            lambda tx: sessions.begin_session(tx, checked, self._key, self._lifetimes),
        )
        self._note(SecurityEventKind.LOGIN_SUCCEEDED, organization=organization, actor=user)
        return answer

    async def RefreshToken(
        self, request: auth_service_pb2.RefreshTokenRequest, context: Any
    ) -> auth_service_pb2.RefreshTokenResponse:
        token_id, secret = sessions.parse_refresh_token(request.refresh_token)
        found = await self._store.run_read(
            lambda connection: session_table.find_refresh_token(connection, token_id)
        )
        right = sessions.is_right(found.token if found else None, secret, self._key)
        if found is None or not right:
            raise sessions.session_over()
        author = _author(found.organization, f"users/{found.user_id}", request.request_id)
        try:
            return await self._begin_or_renew(
                author,
                auth_service_pb2.RefreshTokenRequest(refresh_token=token_id),
                auth_service_pb2.RefreshTokenResponse,
                lambda tx: sessions.renew_session(tx, token_id, self._key, self._lifetimes),
            )
        except RefreshTokenReusedError:
            await self._end(author, found.token.session_id, SessionEnd.REUSED)
            self._note(
                SecurityEventKind.REFRESH_TOKEN_REUSED,
                organization=found.organization,
                actor=author.actor,
            )
            raise sessions.session_over() from None

    async def Logout(
        self, request: auth_service_pb2.LogoutRequest, context: Any
    ) -> auth_service_pb2.LogoutResponse:
        who = caller()
        session_id = who.session
        if not session_id:
            raise FailedPreconditionError(
                ErrorReason.WRONG_STATE,
                f"{who.credential} is no session; revoke an API key with RevokeApiKey",
                resource=who.credential,
            )
        await self._end(_author(who.organization, who.name), session_id, SessionEnd.LOGOUT)
        self._note(SecurityEventKind.LOGGED_OUT)
        return auth_service_pb2.LogoutResponse()

    async def ListSessions(
        self, request: auth_service_pb2.ListSessionsRequest, context: Any
    ) -> auth_service_pb2.ListSessionsResponse:
        who, size = caller(), page_size(request.page_size)
        user_id = names.last_id(request.user or who.name)
        if not (request.user or who.name.startswith("users/")):
            raise invalid_field("user", "an API key has no sessions; name a user")
        behind = (self._pages.read(request) or [""])[0]
        found = await self._store.read(
            who.organization,
            lambda reader: sessions.list_sessions(reader, user_id, who, behind, size + 1),
        )
        response = auth_service_pb2.ListSessionsResponse(
            sessions=[_session_message(session, who) for session in found[:size]]
        )
        if len(found) > size:
            response.next_page_token = self._pages.make(request, [found[size - 1].id])
        return response

    async def RevokeSession(
        self, request: auth_service_pb2.RevokeSessionRequest, context: Any
    ) -> auth_service_pb2.RevokeSessionResponse:
        who, session_id = caller(), names.last_id(request.session)
        kept: Idempotency[auth_service_pb2.RevokeSessionResponse] = Idempotency(
            request.session.encode(),
            lambda made: made.SerializeToString(),
            auth_service_pb2.RevokeSessionResponse.FromString,
        )
        committed = await self._store.transact(
            _author(who.organization, who.name, request.request_id),
            lambda tx: sessions.revoke_session(tx, session_id, who),
            lambda ended, _revision: auth_service_pb2.RevokeSessionResponse(
                session=_session_message(ended, who)
            ),
            kept if request.request_id else None,
        )
        self._note(SecurityEventKind.SESSION_REVOKED)
        return committed.value

    async def WhoAmI(
        self, request: auth_service_pb2.WhoAmIRequest, context: Any
    ) -> auth_service_pb2.WhoAmIResponse:
        principal = caller()
        return auth_service_pb2.WhoAmIResponse(
            principal=principal.name,
            display_name=principal.display_name,
            organization=principal.organization,
            permissions=sorted(principal.permissions),
            roles=names.names_of("roles", principal.roles),
            credential=principal.credential,
            machines=names.names_of("machines", principal.machines),
            client=principal.client,
            expire_time=timestamp(principal.expire_time),
            server_version=VERSION,
        )

    async def GetSigningKeys(
        self, request: auth_service_pb2.GetSigningKeysRequest, context: Any
    ) -> auth_service_pb2.GetSigningKeysResponse:
        keys = await self._signing_keys.accepted()
        return auth_service_pb2.GetSigningKeysResponse(
            issuer=self._tokens.issuer,
            audience=AUDIENCE,
            keys=[message.to_message(key) for key in keys],
            jwks=json.dumps({"keys": [message.to_jwk(key) for key in keys]}),
        )

    async def _begin_or_renew(
        self,
        author: Author,
        content: Any,
        answer: type[M],
        use_case: Callable[[Transaction], NewTokens],
    ) -> M:
        """Run a use case that gives tokens; a repeat with its request_id gets none."""
        # Behind the password or the token: whoever has neither learns nothing of an organization.
        await self._check_organization(author.organization)
        kept = Idempotency(
            content.SerializeToString(deterministic=True), _without_tokens, answer.FromString
        )
        committed = await self._store.transact(
            author,
            use_case,
            lambda made, _revision: _answer(answer, made),
            kept if author.request_id else None,
        )
        made: M = committed.value
        if made.refresh_token:
            made.access_token, expires = await self._access_token(author, made)
            made.access_token_expire_time.FromDatetime(expires)
            made.access_token_valid_for.FromTimedelta(expires - self._store.clock())
        return made

    async def _access_token(self, author: Author, made: Any) -> tuple[str, datetime]:
        session_id = names.last_id(made.session)
        end = made.session_expire_time.ToDatetime(UTC)
        return await self._tokens.issue(author.organization, author.actor, session_id, end)

    async def _end(self, author: Author, session_id: str, reason: SessionEnd) -> None:
        await self._store.transact(
            author,
            lambda tx: sessions.end_session(tx, session_id, reason),
            lambda _none, revision: revision,
        )


def _session_message(session: Session, who: Principal) -> auth_service_pb2.Session:
    return auth_service_pb2.Session(
        name=session.name,
        user=f"users/{session.user_id}",
        login_time=timestamp(session.create_time),
        renew_time=timestamp(session.last_used_time),
        expire_time=timestamp(session.expire_time),
        revoke_time=timestamp(session.revoke_time),
        current=session.name == who.credential,
    )


def _author(organization: str, user: str, request_id: str = "") -> Author:
    """Of a call that is public: its principal is who the password or the token says."""
    method = current_call.get().short_method
    return Author(organization, user, method=method, request_id=request_id)


def _answer(answer: type[M], made: NewTokens) -> M:
    session = made.session
    reply = answer(
        refresh_token=made.refresh_token,
        refresh_token_expire_time=timestamp(made.refresh_token_expire_time),
        session=session.name,
        session_expire_time=timestamp(session.expire_time),
    )
    if isinstance(reply, auth_service_pb2.LoginResponse):
        reply.user = made.user.name
    return reply


def _without_tokens(reply: Any) -> bytes:
    """What a repeat gets: secrets are shown once and stored nowhere."""
    kept = type(reply)()
    kept.CopyFrom(reply)
    kept.ClearField("refresh_token")
    kept.ClearField("refresh_token_expire_time")
    kept.secret_already_shown = True
    raw: bytes = kept.SerializeToString()
    return raw
