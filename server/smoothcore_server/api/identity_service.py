"""IdentityService: API keys, roles, users, and the names of actors."""

from __future__ import annotations

from smoothcore.v1.identity_service_pb2_grpc import IdentityServiceServicer
from smoothcore_server.api.actor_calls import ActorCalls
from smoothcore_server.api.api_key_calls import ApiKeyCalls
from smoothcore_server.api.paging import PageTokens
from smoothcore_server.api.role_calls import RoleCalls
from smoothcore_server.api.user_calls import UserCalls
from smoothcore_server.app.login import Logins
from smoothcore_server.app.passwords import PasswordHasher
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.store.root_key import Keys
from smoothcore_server.store.store import Store


class IdentityApi(ActorCalls, ApiKeyCalls, RoleCalls, UserCalls, IdentityServiceServicer):
    """Servicer of IdentityService."""

    def __init__(
        self,
        store: Store,
        page_tokens: PageTokens,
        resume_tokens: ResumeTokens,
        keys: Keys,
        passwords: PasswordHasher,
        logins: Logins,
    ) -> None:
        super().__init__(store, page_tokens, resume_tokens)
        self.hashing_key = keys.api_key
        self.fingerprint_key = keys.request
        self.passwords = passwords
        self.logins = logins
