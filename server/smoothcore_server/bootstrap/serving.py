"""What the transport needs of the settings."""

from __future__ import annotations

from dataclasses import replace

from smoothcore_server.config import Settings
from smoothcore_server.domain.rate import Rate
from smoothcore_server.transport.listen import check_addresses
from smoothcore_server.transport.settings import (
    ClassLimits,
    Limits,
    ServerSettings,
    TlsSettings,
)
from smoothcore_server.transport.tls import check_files

BURST_S = 4.0
"""A caller that was quiet may catch up on so much of its rate at once."""


def check_serving(serving: ServerSettings, metrics_listen: str = "") -> None:
    """Raise ListenError or TlsError for what would keep a server from serving."""
    check_addresses(serving, metrics_listen)
    for tls in (serving.tls, serving.gateway_tls):
        if tls is not None:
            check_files(tls)


def server_settings(settings: Settings, *, reuse_port: bool = False) -> ServerSettings:
    """What the transport needs of the settings."""
    tls = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls = TlsSettings(
            certificate=settings.tls_certificate,
            key=settings.tls_key,
            client_ca=settings.tls_client_ca,
        )
    has_gateways = bool(settings.gateway_listen)
    return ServerSettings(
        listen=tuple(settings.listen),
        insecure_listen=settings.insecure_listen,
        tls=replace(tls, client_ca=None) if tls and has_gateways else tls,
        gateway_listen=tuple(settings.gateway_listen),
        gateway_tls=tls if has_gateways else None,
        reuse_port=reuse_port,
        public_probes=settings.public_probes,
        reflection=settings.reflection,
        max_receive_bytes=settings.max_message_bytes,
        max_connection_age_s=settings.max_connection_age_s,
        limits=_limits(settings),
    )


def _rate(per_s: float) -> Rate:
    return Rate(per_s, max(1, round(per_s * BURST_S)))


def _limits(settings: Settings) -> Limits:
    usual = Limits()
    return Limits(
        address_rate=_rate(settings.address_calls_per_s),
        unary=ClassLimits(
            process=settings.max_calls,
            principal=min(usual.unary.principal, settings.max_calls),
            default_deadline_s=settings.default_deadline_s,
            max_deadline_s=settings.max_deadline_s,
            rate=_rate(settings.calls_per_s),
        ),
        watches=ClassLimits(
            process=settings.max_watches,
            principal=min(usual.watches.principal, settings.max_watches),
            retry_after_s=usual.watches.retry_after_s,
            rate=_rate(settings.watches_per_s),
        ),
        uploads=ClassLimits(
            process=settings.max_uploads,
            principal=min(usual.uploads.principal, settings.max_uploads),
            default_deadline_s=usual.uploads.default_deadline_s,
            max_deadline_s=usual.uploads.max_deadline_s,
            retry_after_s=usual.uploads.retry_after_s,
            rate=_rate(settings.uploads_per_s),
        ),
    )
