"""Signing keys, as others verify with them."""

from __future__ import annotations

import base64

from smoothcore.v1 import auth_service_pb2
from smoothcore_server.api.messages.values import timestamp
from smoothcore_server.app.access_token import ALGORITHM
from smoothcore_server.domain.signing_key import SigningKey


def to_message(key: SigningKey) -> auth_service_pb2.SigningKey:
    """The public half of a key."""
    return auth_service_pb2.SigningKey(
        key_id=key.id,
        algorithm=ALGORITHM,
        public_key=key.public_key,
        expire_time=timestamp(key.expire_time),
    )


def to_jwk(key: SigningKey) -> dict[str, str]:
    """The same as a JSON Web Key (RFC 8037)."""
    point = base64.urlsafe_b64encode(key.public_key).decode().rstrip("=")
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": ALGORITHM,
        "kid": key.id,
        "x": point,
    }
