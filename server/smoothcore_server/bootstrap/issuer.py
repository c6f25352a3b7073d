"""The external issuer of tokens, if one is configured."""

from __future__ import annotations

import structlog

from smoothcore_server.app.external_tokens import ExternalAuthenticator, ExternalIssuer
from smoothcore_server.app.jwk_set import JwkSet, JwkSetError, is_url
from smoothcore_server.config import ConfigError, Settings
from smoothcore_server.store.store import Store

log = structlog.get_logger("smoothcore")


async def issuer_keys(settings: Settings) -> JwkSet | None:
    """The keys of the external issuer, if one is configured. Raises ConfigError."""
    if not settings.oidc_jwks:
        return None
    try:
        keys = JwkSet(settings.oidc_jwks)
    except JwkSetError as error:
        raise ConfigError(f"oidc_jwks: {error}") from None
    try:
        await keys.load()
    except JwkSetError as error:
        if not is_url(settings.oidc_jwks):
            raise ConfigError(f"oidc_jwks: {error}") from None
        # The issuer may be down, or start later; its keys are asked for when they are needed.
        log.warning("keys of the issuer cannot be read", reason=str(error))
    return keys


def external_authenticator(
    settings: Settings, store: Store, keys: JwkSet | None
) -> ExternalAuthenticator | None:
    """Who recognizes tokens of the external issuer, if one is configured."""
    if keys is None:
        return None
    issuer = ExternalIssuer(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        organization=settings.oidc_organization,
        role_claim=settings.oidc_role_claim,
        role_map=settings.oidc_role_map,
    )
    return ExternalAuthenticator(store, keys, issuer)
