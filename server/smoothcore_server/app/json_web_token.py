"""Reading signed tokens (JWT, RFC 7519) strictly, as RFC 8725 advises.

The algorithm is the caller's, never the token's. What two readers could understand differently is
refused: a name that stands twice in an object, characters outside of base64url, claims of another
kind than they should be.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from jwt.algorithms import AllowedPublicKeys

MAX_TOKEN = 4_096
"""Longer tokens are refused before anything is read of them."""
LEEWAY = timedelta(seconds=5)
"""How much later the issuer's clock may be than ours; an expired token is expired at once."""
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_SIGNED = jwt.PyJWS()


class TokenError(Exception):
    """A token is not accepted; the text is for tests and never for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the claims of a token must say."""

    issuer: str
    audience: str


def read_header(token: str) -> dict[str, Any]:
    """The header of a token, of which nothing is verified yet."""
    if len(token) > MAX_TOKEN:
        raise TokenError("too long")
    if not _FORM.fullmatch(token):
        raise TokenError("no three parts of base64url")
    part = token.partition(".")[0]
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise TokenError("the header is no base64url") from None
    header = _read_object(raw)
    if "crit" in header:
        raise TokenError("asks for extensions that are not understood")
    return header


def unverified_issuer(token: str) -> str:
    """Who a token says has issued it, to choose who verifies it; empty where it says nothing."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return ""
    issuer = claims.get("iss") if isinstance(claims, dict) else ""
    return issuer if isinstance(issuer, str) else ""


def read_claims(
    token: str, key: AllowedPublicKeys, algorithm: str, expected: Expected, now: datetime
) -> dict[str, Any]:
    """The claims of a token that is signed with a key, for us, and valid now."""
    try:
        payload = _SIGNED.decode(token, key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise TokenError(f"not signed with the key: {type(error).__name__}") from None
    claims = _read_object(payload)
    if claims.get("iss") != expected.issuer:
        raise TokenError("of another issuer")
    audience = claims.get("aud")
    if expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenError("for another audience")
    _check_times(claims, now)
    return claims


def time_of(claims: dict[str, Any], name: str) -> datetime:
    """A moment among the claims."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TokenError(f"{name} is no time")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise TokenError(f"{name} is no time") from None


def text_of(claims: dict[str, Any], name: str) -> str:
    """A text among the claims; raises TokenError when there is none."""
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise TokenError(f"{name} is no text")
    return value


def _check_times(claims: dict[str, Any], now: datetime) -> None:
    if time_of(claims, "exp") <= now:
        raise TokenError("expired")
    for name in ("iat", "nbf"):
        if name in claims and time_of(claims, name) > now + LEEWAY:
            raise TokenError(f"{name} lies in the future")


def _read_object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise TokenError("no JSON") from None
    if not isinstance(found, dict):
        raise TokenError("no JSON object")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TokenError("a name stands twice in an object")
    return found
