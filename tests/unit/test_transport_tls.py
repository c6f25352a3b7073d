"""TLS: certificates are renewed while the server runs, and old protocols are refused."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from smoothcore_server.transport.settings import ServerSettings, TlsSettings
from smoothcore_server.transport.tls import TlsError, TlsFiles
from tests.unit.test_transport_fakes import running

PEM = serialization.Encoding.PEM


@dataclass
class Pair:
    """A self-signed certificate for 127.0.0.1 and its key."""

    certificate: bytes
    key: bytes


def make_pair(name: str) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(PEM), private)


OLD, NEW = make_pair("old"), make_pair("new")


def write(folder: Path, pair: Pair) -> TlsSettings:
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    return TlsSettings(certificate=folder / "tls.crt", key=folder / "tls.key")


def trusting(pair: Pair, client: Pair | None = None) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        pair.certificate,
        client.key if client else None,
        client.certificate if client else None,
    )


async def served_certificate(address: str) -> bytes:
    """The certificate that the server shows to a new connection."""
    host, _, port = address.rpartition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
    return pem.encode()


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    settings = ServerSettings(tls=write(tmp_path, OLD))
    channel = lambda address: grpc.aio.secure_channel(address, trusting(OLD))  # noqa: E731
    async with running(settings=settings, channel=channel) as served:
        assert await served.get_tool()
        assert await served_certificate(served.address) == OLD.certificate
        write(tmp_path, NEW)
        assert await served_certificate(served.address) == NEW.certificate
        assert await served.get_tool()  # Open connections go on.
        async with grpc.aio.secure_channel(served.address, trusting(NEW)) as fresh:
            await asyncio.wait_for(fresh.channel_ready(), 5)


async def test_a_half_renewed_pair_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    settings = write(tmp_path, OLD)
    files = TlsFiles(settings)
    settings.certificate.write_bytes(NEW.certificate)
    with capture_logs() as logs:
        assert files._fetch() is None
        assert files._fetch() is None
    assert [line["event"] for line in logs] == ["kept the old certificate"]
    settings.key.write_bytes(NEW.key)
    assert files._fetch() is not None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_below_1_2_is_refused(tmp_path: Path) -> None:
    settings = ServerSettings(tls=write(tmp_path, OLD))
    channel = lambda address: grpc.aio.secure_channel(address, trusting(OLD))  # noqa: E731
    async with running(settings=settings, channel=channel) as served:
        host, _, port = served.address.rpartition(":")
        for newest, is_refused in ((ssl.TLSVersion.TLSv1_1, True), (ssl.TLSVersion.TLSv1_2, False)):
            context = ssl.create_default_context(cadata=OLD.certificate.decode())
            context.set_alpn_protocols(["h2"])
            with suppress(ValueError):
                context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = newest
            try:
                _, writer = await asyncio.open_connection(host, int(port), ssl=context)
            except (ssl.SSLError, ConnectionError):
                assert is_refused
            else:
                writer.close()
                assert not is_refused


async def test_a_client_without_a_certificate_is_refused_where_one_is_asked_for(
    tmp_path: Path,
) -> None:
    authority = tmp_path / "clients.crt"
    client = make_pair("client")
    authority.write_bytes(client.certificate)
    files = write(tmp_path, OLD)
    tls = TlsSettings(certificate=files.certificate, key=files.key, client_ca=authority)
    channel = lambda address: grpc.aio.secure_channel(address, trusting(OLD, client))  # noqa: E731
    async with running(settings=ServerSettings(tls=tls), channel=channel) as served:
        assert await served.get_tool()
        async with grpc.aio.secure_channel(served.address, trusting(OLD)) as stranger:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stranger.unary_unary("/smoothcore.v1.ToolService/GetTool")(b"", timeout=3)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("broken", ["missing", "garbage", "other key", "password"])
def test_unusable_files_are_named_at_start(tmp_path: Path, broken: str) -> None:
    settings = write(tmp_path, OLD)
    if broken == "missing":
        settings.key.unlink()
    elif broken == "garbage":
        settings.certificate.write_text("certificate")
    elif broken == "other key":
        settings.key.write_bytes(NEW.key)
    else:
        key = serialization.load_pem_private_key(OLD.key, None)
        settings.key.write_bytes(
            key.private_bytes(
                PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
    with pytest.raises(TlsError, match=r"tls\.key"):
        TlsFiles(settings)
