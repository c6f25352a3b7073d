"""Certificates for tests: an authority, and what it issues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex."""
        return x509.load_pem_x509_certificate(self.certificate).fingerprint(hashes.SHA256()).hex()


class Authority:
    """An authority, trusted by whoever reads its PEM."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        made = _begun(self._name, self._name, self._key, datetime.now(UTC) + DAY)
        authority = x509.BasicConstraints(ca=True, path_length=None)
        made = made.add_extension(authority, critical=True)
        self.pem = made.sign(self._key, hashes.SHA256()).public_bytes(PEM)

    def issue(self, *names: str, lasts: timedelta = DAY, purpose: str = "") -> Issued:
        """A certificate with subject alternative names as ``DNS:…``, ``URI:…``, ``IP:…``."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _begun(_subject("leaf"), self._name, key, datetime.now(UTC) + lasts)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(list(map(_san, names))), False)
        if purpose:
            usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(purpose)])
            made = made.add_extension(usage, critical=False)
        private = key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Issued(made.sign(self._key, hashes.SHA256()).public_bytes(PEM), private)

    def trusted_with(self, shown: Issued | None = None) -> grpc.ChannelCredentials:
        """Credentials of a client that trusts this authority and shows a certificate."""
        if shown is None:
            return grpc.ssl_channel_credentials(self.pem)
        return grpc.ssl_channel_credentials(self.pem, shown.key, shown.certificate)


def write_served(folder: Path, issued: Issued) -> dict[str, Path]:
    """The files of a server's certificate, as settings."""
    made = {"tls_certificate": folder / "server.crt", "tls_key": folder / "server.key"}
    made["tls_certificate"].write_bytes(issued.certificate)
    made["tls_key"].write_bytes(issued.key)
    return made


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _san(text: str) -> x509.GeneralName:
    kind, _, value = text.partition(":")
    if kind == "IP":
        return x509.IPAddress(ip_address(value))
    if kind == "URI":
        return x509.UniformResourceIdentifier(value)
    return x509.DNSName(value)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(end, datetime.now(UTC)) - DAY)
        .not_valid_after(end)
    )
