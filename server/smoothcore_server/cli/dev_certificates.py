"""Certificates for trying TLS out: an authority that signs once and is thrown away."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=30)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_PEM = serialization.Encoding.PEM


class DevCertificatesError(Exception):
    """The certificates cannot be made; the message tells the operator what to do."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class DevCertificates:
    """What was written."""

    authority: Path
    server: Pair
    gateways: dict[str, Pair]
    """By the name of each, which stands in its certificate as ``DNS:name``."""


def make_dev_certificates(
    folder: Path, names: Sequence[str], gateways: Sequence[str]
) -> DevCertificates:
    """Write an authority's certificate, and certificates and keys of a server (for the loopback
    addresses and ``names``) and of gateways. The authority's own key is written nowhere.

    Raises DevCertificatesError for bad names, and for files that are there.
    """
    _check(names, gateways)
    made = DevCertificates(
        folder / "ca.crt",
        _pair(folder, "server"),
        {name: _pair(folder, f"gateway-{name}") for name in gateways},
    )
    _refuse_existing(made)
    authority = _Authority()
    contents = {made.authority: authority.certificate.public_bytes(_PEM)}
    contents |= authority.issue(made.server, [*LOOPBACK, *names], ExtendedKeyUsageOID.SERVER_AUTH)
    for name, pair in made.gateways.items():
        contents |= authority.issue(pair, [name], ExtendedKeyUsageOID.CLIENT_AUTH)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in contents.items():
        _write(path, content)
    return made


def _pair(folder: Path, stem: str) -> Pair:
    return Pair(folder / f"{stem}.crt", folder / f"{stem}.key")


def _check(names: Sequence[str], gateways: Sequence[str]) -> None:
    for name in gateways:
        if not _HOST.fullmatch(name):
            raise DevCertificatesError(
                f"{name!r} is no name for a gateway; write a-z, 0-9, . and -, as edge-7"
            )
    for name in names:
        if not _HOST.fullmatch(name) and not _is_address(name):
            raise DevCertificatesError(f"{name!r} is neither a host name nor an IP address")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refuse_existing(made: DevCertificates) -> None:
    pairs = [made.server, *made.gateways.values()]
    paths = [made.authority, *(path for pair in pairs for path in (pair.certificate, pair.key))]
    for path in paths:
        if path.exists():
            raise DevCertificatesError(
                f"{path} is there already and is not overwritten; name another folder"
            )


def _write(path: Path, content: bytes) -> None:
    # Made with its final rights: there is no moment in which others could read it.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


class _Authority:
    """An authority whose key lives as long as this object."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("Smooth Core, for trying out only")
        self.certificate = (
            _begun(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(
        self, pair: Pair, names: Sequence[str], purpose: x509.ObjectIdentifier
    ) -> dict[Path, bytes]:
        """The contents of the files of a pair."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _begun(_subject(names[0]), self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {pair.certificate: certificate.public_bytes(_PEM), pair.key: private}


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _san(name: str) -> x509.GeneralName:
    if _is_address(name):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # The clocks of two computers differ.
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
