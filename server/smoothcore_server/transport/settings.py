"""What can be set about the server; the configuration fills it in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from smoothcore_server.domain.rate import Rate

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLimits:
    """Limits of one class of calls."""

    process: int
    """Calls in flight in this process."""
    principal: int
    """Calls in flight of one credential."""
    default_deadline_s: float = 30.0
    """For a call whose client has set no deadline. Streams of replies have none."""
    max_deadline_s: float = 120.0
    """A longer deadline is shortened to this."""
    retry_after_s: float = 1.0
    """What a refused caller is told to wait."""
    rate: Rate | None = None
    """How often one credential may begin such a call; None for no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be in flight at once."""

    address_calls: int = 2_000
    """Calls of all classes in flight from one address. Behind a proxy all callers share one."""
    address_rate: Rate | None = None
    """How often calls may come from one address, before anything is known of the caller."""
    unary: ClassLimits = field(default_factory=lambda: ClassLimits(process=1_024, principal=128))
    watches: ClassLimits = field(
        default_factory=lambda: ClassLimits(process=5_000, principal=500, retry_after_s=5.0)
    )
    uploads: ClassLimits = field(
        default_factory=lambda: ClassLimits(
            process=64,
            principal=8,
            default_deadline_s=600.0,
            max_deadline_s=3_600.0,
            retry_after_s=5.0,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """PEM files; they are read again when they change."""

    certificate: Path
    """The certificate chain, leaf first."""
    key: Path
    client_ca: Path | None = None
    """When set, clients must present a certificate of this authority. Where its names stand for an
    API key, they need no other credential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSettings:
    """How the server goes away."""

    balancer_delay_s: float = 0.0
    """Between health NOT_SERVING and the end of streams: time for load balancers to notice."""
    stream_grace_s: float = 1.5
    """How long streams may take to say good-bye before they are cut."""
    call_grace_s: float = 2.0
    """How long other calls may take to end. With the grace of streams the server is gone in under
    five seconds, whatever a client does; a call that is cut is repeated with its request_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The gRPC server."""

    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    """``host:port``, ``[::1]:port`` or ``unix:/path``. Port 0 takes any free one."""
    insecure_listen: bool = False
    """Whether an address other than loopback may be served without TLS (behind a mesh or a proxy
    that does it). API keys travel in plain text then."""
    tls: TlsSettings | None = None
    """Serves all TCP addresses of ``listen`` with TLS; unix sockets stay as they are."""
    gateway_listen: tuple[str, ...] = ()
    """More addresses, TCP only, for clients that present a certificate."""
    gateway_tls: TlsSettings | None = None
    """Serves ``gateway_listen``; it has a client_ca."""
    public_probes: bool | None = None
    """Whether health and reflection need no credential; None: only when every address is loopback
    or a unix socket."""
    reflection: bool = True
    """Whether the server describes itself to grpcurl and the like."""
    reuse_port: bool = False
    """Only for several workers of one server: they share the port (SO_REUSEPORT). The parent has
    to make sure that it is free, with `listen.ensure_free`."""
    unix_socket_mode: int = 0o600
    """Who may connect to unix sockets."""
    max_receive_bytes: int = 4 * _MIB + 64 * 1024
    """The largest request message. Files of 3 MiB fit with room to spare."""
    max_streams_per_connection: int = 1_000
    max_metadata_bytes: int = 16 * 1024
    """Of a call's headers, unpacked: one that is named a thousand times counts a thousand times."""
    handshake_timeout_s: float = 20.0
    """How long a new connection may take until it speaks HTTP/2, through TLS where there is TLS."""
    keepalive_time_s: float = 30.0
    """How long a connection may be silent before it is pinged."""
    keepalive_timeout_s: float = 10.0
    min_ping_interval_s: float = 20.0
    """Clients that ping more often are sent away."""
    max_connection_age_s: float | None = None
    """When set, clients are asked to reconnect after this time, so that replicas share the load
    again; grpc itself spreads it by 10 % either way."""
    max_connection_age_grace_s: float = 30.0
    """How long calls may go on after that; watches are cut then, and resume."""
    limits: Limits = field(default_factory=Limits)
