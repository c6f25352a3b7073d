"""The certificate that a client has shown in the TLS handshake."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from smoothcore_server.domain.certificate import NAME_PATTERN, ClientCertificate

_CAN_BE_BOUND = re.compile(NAME_PATTERN).fullmatch


def client_certificate(context: Any) -> ClientCertificate | None:
    """That of the connection of a call; None where none was asked for.

    A listener that asks for one accepts no connection without one that was verified.
    """
    known = context.auth_context()
    if list(known.get("transport_security_type", ())) != [b"ssl"]:
        return None
    pem = list(known.get("x509_pem_cert", ()))
    return _read(pem[0]) if pem else None


@lru_cache(maxsize=1_024)
def _read(pem: bytes) -> ClientCertificate:
    certificate = x509.load_pem_x509_certificate(pem)
    return ClientCertificate(
        fingerprint=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        names=_names(certificate),
        expire_time=certificate.not_valid_after_utc,
    )


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    # Host names are the same in any case; URIs are not.
    hosts = [f"DNS:{name.lower()}" for name in found.get_values_for_type(x509.DNSName)]
    uris = [f"URI:{name}" for name in found.get_values_for_type(x509.UniformResourceIdentifier)]
    return frozenset(name for name in [*hosts, *uris] if _CAN_BE_BOUND(name))
