"""TLS: the client trusts the authority it was told to, and no other."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smoothcore.v1.auth_service_pb2_grpc import add_AuthServiceServicer_to_server
from smoothcore_client import TLS, AsyncClient, Unavailable
from tests.unit.test_client_fakes import FakeAuth


def self_signed() -> tuple[bytes, bytes]:
    """A certificate for 127.0.0.1 and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


@pytest.fixture
async def tls_server() -> AsyncIterator[tuple[str, bytes]]:
    certificate, key = self_signed()
    server = grpc.aio.server()
    add_AuthServiceServicer_to_server(FakeAuth(), server)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield f"127.0.0.1:{port}", certificate
    await server.stop(0)


async def test_the_named_authority_is_trusted(
    tls_server: tuple[str, bytes], tmp_path: Path
) -> None:
    address, certificate = tls_server
    path = tmp_path / "ca.pem"
    path.write_bytes(certificate)
    for ca in (certificate, path, str(path)):
        async with AsyncClient(address, api_key="sk_1", tls=TLS(ca=ca)) as client:
            assert (await client.whoami()).display_name == "the tests"


async def test_another_authority_is_not(tls_server: tuple[str, bytes]) -> None:
    address, _ = tls_server
    stranger, _ = self_signed()
    async with AsyncClient(address, api_key="sk_1", tls=TLS(ca=stranger)) as client:
        with pytest.raises(Unavailable, match="cannot reach the server"):
            await client.whoami()


async def test_plaintext_is_not_answered(tls_server: tuple[str, bytes]) -> None:
    address, _ = tls_server
    async with AsyncClient(address) as client:
        with pytest.raises(Unavailable):
            await client.whoami()
