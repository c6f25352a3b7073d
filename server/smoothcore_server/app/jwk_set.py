"""The public keys of an external issuer: a JSON Web Key Set (RFC 7517) in a file or at a URL."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import AllowedPublicKeys

MAX_BYTES = 1024 * 1024
MAX_KEYS = 100
TIMEOUT_S = 5.0
RELOAD_S = 60.0
"""An unknown key has the set read again, at most once in this time: anybody can name a key."""
FRESH_S = 3600.0
"""After so long it is read again by itself: a key that was taken out stops working."""
MIN_RSA_BITS = 2048
ALGORITHMS = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""By the type of a key: what it signs with is never what a token says, and nothing is symmetric."""
log = structlog.get_logger("smoothcore.oidc")


class JwkSetError(Exception):
    """A key set cannot be used; the message says why, for the operator."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key, and the one algorithm that it is used with."""

    algorithm: str
    key: AllowedPublicKeys


def check_source(source: str) -> None:
    """Raise JwkSetError for a URL that the keys could be replaced at on the way."""
    parts = urlsplit(source)
    if parts.scheme == "https" or not is_url(source):
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return
    raise JwkSetError(f"{source}: must be a file or an https URL (http only to this computer)")


def parse(raw: bytes) -> dict[str, VerifyingKey]:
    """The keys that tokens may be signed with, by their id; others are left out.

    Raises JwkSetError for what is no key set.
    """
    try:
        found = json.loads(raw)
        keys = [key for key in found["keys"] if isinstance(key, dict)]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise JwkSetError("is no JSON Web Key Set") from None
    usable = {}
    for key in keys[:MAX_KEYS]:
        made = _verifying_key(key)
        if made is not None:
            usable[str(key["kid"])] = made
    return usable


def _verifying_key(key: dict[str, Any]) -> VerifyingKey | None:
    kind = str(key.get("kty"))
    algorithm = ALGORITHMS.get((kind, "" if kind == "RSA" else str(key.get("crv"))))
    if algorithm is None or key.get("alg", algorithm) != algorithm or "d" in key:
        return None  # A private half has no business in a set that is published.
    if key.get("use", "sig") != "sig" or not key.get("kid"):
        return None
    try:
        made = jwt.PyJWK(key, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(made, RSAPublicKey) and made.key_size < MIN_RSA_BITS:
        return None
    return VerifyingKey(algorithm, made)


class JwkSet:
    """Keys by their id, read again when one is unknown or they are old, off the event loop."""

    def __init__(self, source: str) -> None:
        """Raises JwkSetError for a source that must not be used."""
        check_source(source)
        self._source = source
        self._keys: dict[str, VerifyingKey] = {}
        self._tried_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, key_id: str) -> VerifyingKey | None:
        """The key of an id; None for one that is not in the set."""
        await self._refresh(RELOAD_S if key_id not in self._keys else FRESH_S)
        return self._keys.get(key_id)

    async def load(self) -> None:
        """Read the set now; raises JwkSetError."""
        self._tried_at = time.monotonic()
        raw = await asyncio.to_thread(_read, self._source)
        self._keys = parse(raw)

    async def _refresh(self, older_than_s: float) -> None:
        if time.monotonic() - self._tried_at < older_than_s:
            return
        async with self._reading:
            if time.monotonic() - self._tried_at < older_than_s:
                return
            try:
                await self.load()
            except JwkSetError as error:
                # The keys that are known go on working: an issuer that is away locks nobody out.
                log.warning("keys of the issuer cannot be read", reason=str(error))


def _read(source: str) -> bytes:
    try:
        raw = _fetch(source) if is_url(source) else _read_file(Path(source))
    except (OSError, ValueError, HTTPException) as error:
        raise JwkSetError(f"{source}: {type(error).__name__}") from None
    if len(raw) > MAX_BYTES:
        raise JwkSetError(f"{source}: larger than {MAX_BYTES} bytes")
    return raw


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is configured is what is asked: a redirect could lead to an address inside."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None


def _fetch(url: str) -> bytes:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if _is_loopback(urlsplit(url).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    give_up = time.monotonic() + TIMEOUT_S
    with opener.open(url, timeout=TIMEOUT_S) as response:
        return _within(response, give_up)


def _within(response: HTTPResponse, give_up: float) -> bytes:
    """All of a response, if it comes in time: the time-out of a socket is for one piece only."""
    raw = bytearray()
    while len(raw) <= MAX_BYTES and (piece := response.read1(65_536)):
        raw += piece
        if time.monotonic() > give_up:
            raise TimeoutError
    return bytes(raw)


def is_url(source: str) -> bool:
    """Whether a source is fetched, and no file."""
    return "://" in source


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
