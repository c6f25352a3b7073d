"""TLS of the server, with certificates that can be renewed while it runs."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import grpc
import structlog

from smoothcore_server.transport.settings import TlsSettings

_Stamp: TypeAlias = tuple[tuple[int, int, int], ...]

_log = structlog.get_logger("smoothcore.tls")


class TlsError(Exception):
    """The TLS files are unusable; the message tells the operator what to do."""


class TlsFiles:
    """Certificate, key and client authority on disk, as one listener has read them.

    gRPC asks with every handshake; files that have not changed are not read again, and a pair that
    does not fit together (half of it was renewed) leaves the old one in use.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._stamp = self._read_stamp()
        self._initial = self._load()

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that follow the files. gRPC itself takes TLS 1.2 and newer only."""
        return grpc.dynamic_ssl_server_credentials(
            self._initial,
            self._fetch,  # type: ignore[arg-type] # None, for "as before", is documented.
            require_client_authentication=self._settings.client_ca is not None,
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC, in a thread of its own; None keeps what is in use."""
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return None
            # Remembered before it is read, so that a bad pair is not tried with each handshake.
            self._stamp = stamp
            loaded = self._load()
        except TlsError as error:
            _log.warning("kept the old certificate", reason=str(error))
            return None
        _log.info("loaded a new certificate", file=str(self._settings.certificate))
        return loaded

    def _paths(self) -> Iterable[Path]:
        optional = [self._settings.client_ca] if self._settings.client_ca else []
        return [self._settings.certificate, self._settings.key, *optional]

    def _read_stamp(self) -> _Stamp:
        try:
            stats = [path.stat() for path in self._paths()]
        except OSError as error:
            raise TlsError(f"cannot read {error.filename}: {error.strerror}") from None
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)

    def _load(self) -> grpc.ServerCertificateConfiguration:
        settings = self._settings
        _assert_fit(settings)
        try:
            roots = settings.client_ca.read_bytes() if settings.client_ca else None
            pair = (settings.key.read_bytes(), settings.certificate.read_bytes())
        except OSError as error:
            raise TlsError(f"cannot read {error.filename}: {error.strerror}") from None
        return grpc.ssl_server_certificate_configuration([pair], roots)


def check_files(settings: TlsSettings) -> None:
    """Raise TlsError for files that cannot be served with, before anything is made."""
    for path in (settings.certificate, settings.key, settings.client_ca):
        if path is not None and not path.is_file():
            raise TlsError(f"cannot read {path}: there is no such file")
    _assert_fit(settings)


def _assert_fit(settings: TlsSettings) -> None:
    """gRPC would fail each handshake without a word about the reason."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise TlsError(
            f"{settings.certificate} and {settings.key} are no certificate and its key in PEM, "
            f"without a password ({getattr(error, 'reason', None) or type(error).__name__})"
        ) from None
    if settings.client_ca is None:
        return
    try:
        context.load_verify_locations(settings.client_ca)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(f"{settings.client_ca} holds no certificate authority in PEM") from error


def _no_password() -> str:
    raise ValueError("the key has a password")  # Without this, OpenSSL asks on the terminal.
