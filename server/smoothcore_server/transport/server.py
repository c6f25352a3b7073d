"""The gRPC server: layers, services, ports, and how it starts and goes away."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from smoothcore_server.app.rate_limits import LocalRateLimiter, RateLimiter
from smoothcore_server.app.security_events import Note, unnoted
from smoothcore_server.transport import listen, reflection
from smoothcore_server.transport.call_metrics import CallMetrics
from smoothcore_server.transport.drain import Drain
from smoothcore_server.transport.health import Health
from smoothcore_server.transport.interceptors.access import Access, access_table
from smoothcore_server.transport.interceptors.address_limits import AddressLimits
from smoothcore_server.transport.interceptors.boundary import Boundary
from smoothcore_server.transport.interceptors.chain import Chain
from smoothcore_server.transport.interceptors.draining import Draining
from smoothcore_server.transport.interceptors.identity import (
    Authenticate,
    AuthenticateCertificate,
    Identity,
)
from smoothcore_server.transport.interceptors.organization_limits import (
    OrganizationLimits,
    Terms,
    no_terms,
)
from smoothcore_server.transport.interceptors.principal_limits import PrincipalLimits
from smoothcore_server.transport.interceptors.validation import Validation
from smoothcore_server.transport.methods import HEALTH, REFLECTION_V1, REFLECTION_V1ALPHA
from smoothcore_server.transport.settings import ServerSettings
from smoothcore_server.transport.tls import TlsFiles
from smoothcore_server.transport.unknown_calls import make_server
from smoothcore_server.transport.validation import Validator


@dataclass(frozen=True, slots=True)
class Service:
    """A service to serve."""

    add: Callable[[Any, grpc.aio.Server], None]
    """The generated ``add_…Servicer_to_server``."""
    servicer: object
    name: str
    """The full name: ``smoothcore.v1.ToolService``."""


@dataclass(frozen=True, slots=True)
class _Port:
    """Where the server listens, and how."""

    address: listen.Address
    tls: TlsFiles | None
    """Its own: each listener is told once that the files have changed."""


class GrpcServer:
    """A server that has not started, runs, or has gone."""

    def __init__(
        self,
        settings: ServerSettings,
        services: Sequence[Service],
        *,
        authenticate: Authenticate,
        registry: CollectorRegistry,
        drain: Drain | None = None,
        tracer: Tracer | None = None,
        more_access: Mapping[str, Access] | None = None,
        limiter: RateLimiter | None = None,
        note: Note = unnoted,
        terms: Terms = no_terms,
        authenticate_certificate: AuthenticateCertificate | None = None,
        is_operators: bool = False,
    ) -> None:
        """Raises ListenError, TlsError or UndeclaredAccessError for what can be told now.

        ``tracer`` is None where tracing is off. ``more_access`` is for services that no proto file
        of ours describes, by ``/service/Method`` or by service. ``is_operators``: it serves the
        operator's methods and nothing else, on a local socket. ``limiter`` counts calls; in this
        process unless given. ``terms``: what an organization may do. ``note`` is told of refusals
        and of sensitive calls. ``authenticate_certificate`` knows whom the certificates of clients
        stand for; without it they stand for nobody.
        """
        self._settings = settings
        self._services = tuple(services)
        self._ports = _ports(settings)
        self.drain = drain or Drain()
        self.health = Health(service.name for service in services)
        metrics = CallMetrics(registry)
        limiter = limiter or LocalRateLimiter()
        layers = (
            Boundary(metrics, note, tracer),
            AddressLimits(settings.limits, limiter),
            Identity(
                authenticate,
                {**self._access(more_access or {}), **(more_access or {})},
                note=note,
                authenticate_certificate=authenticate_certificate,
                is_operators=is_operators,
            ),
            OrganizationLimits(terms, limiter),
            PrincipalLimits(settings.limits, limiter),
            Validation(Validator()),
            Draining(self.drain),
        )
        self._chain = Chain(layers, metrics)
        self._server = make_server((self._chain,), _options(settings))

    async def start(self) -> tuple[str, ...]:
        """Bind and serve; gives the addresses with their true ports, those for gateways behind the
        others. Health is NOT_SERVING.

        Raises ListenError (PortInUseError and others) with a message for the operator.
        """
        for service in self._services:
            _assert_async(service)
            service.add(service.servicer, self._server)
        await self.health.register(self._server)
        if self._settings.reflection:
            reflection.register(self._server, [*(each.name for each in self._services), HEALTH])
        bound = tuple(self._bind(port) for port in self._ports)
        await self._server.start()
        return bound

    async def stop(self) -> None:
        """Go away in order; see `Drain`."""
        await self.drain.run(self._server, self.health)

    async def wait_for_termination(self) -> None:
        """Until the server has stopped; raises what made it crash."""
        await self._server.wait_for_termination()

    def _access(self, more: Mapping[str, Access]) -> dict[str, Access]:
        names = [service.name for service in self._services if service.name not in more]
        public = self._settings.public_probes
        if public is None:
            public = all(port.address.is_local for port in self._ports)
        probes = [HEALTH, REFLECTION_V1ALPHA, REFLECTION_V1]
        return access_table([*names, *probes], probes_are_public=public)

    def _bind(self, port: _Port) -> str:
        address = port.address
        if not self._settings.reuse_port:
            listen.ensure_free(address)
        try:
            number = self._add_port(port)
        except RuntimeError:
            raise listen.PortInUseError(
                f"cannot listen on {address.text}; another process may have taken it just now"
            ) from None
        if address.path is not None:
            address.path.chmod(self._settings.unix_socket_mode)
            return address.text
        return f"{address.text.rpartition(':')[0]}:{number}"

    def _add_port(self, port: _Port) -> int:
        if port.tls is not None:
            return self._server.add_secure_port(port.address.text, port.tls.credentials())
        return self._server.add_insecure_port(port.address.text)


def _ports(settings: ServerSettings) -> list[_Port]:
    """Raises ListenError, TlsError."""
    ports = []
    for text in settings.listen:
        address = listen.parse(text)
        has_tls = settings.tls is not None
        listen.check_secure(address, has_tls=has_tls, insecure_listen=settings.insecure_listen)
        tls = settings.tls if address.path is None else None
        ports.append(_Port(address, TlsFiles(tls) if tls else None))
    for text in settings.gateway_listen:
        assert settings.gateway_tls is not None, "gateways are served with TLS only"
        ports.append(_Port(listen.parse(text), TlsFiles(settings.gateway_tls)))
    return ports


def _assert_async(service: Service) -> None:
    """grpc would run a plain function in a thread, outside the call's context.

    Methods that a servicer inherits from the generated base class are not implemented yet, and
    answered so.
    """
    generated = {
        name
        for base in type(service.servicer).__mro__
        for name in vars(base)
        if base.__module__.endswith("_pb2_grpc")
    }
    for name in sorted(generated):
        method = getattr(service.servicer, name)
        if name.startswith("_") or method.__module__.endswith("_pb2_grpc"):
            continue
        if not (inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)):
            raise TypeError(f"{service.name}.{name} must be an async def")


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.max_receive_message_length", settings.max_receive_bytes),
        ("grpc.max_concurrent_streams", settings.max_streams_per_connection),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.server_handshake_timeout_ms", _ms(settings.handshake_timeout_s)),
        ("grpc.keepalive_time_ms", _ms(settings.keepalive_time_s)),
        ("grpc.keepalive_timeout_ms", _ms(settings.keepalive_timeout_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # The shortest time between two pings of a client, by its name in the C core.
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(settings.min_ping_interval_s)),
    ]
    if settings.max_connection_age_s is not None:
        options += [
            ("grpc.max_connection_age_ms", _ms(settings.max_connection_age_s)),
            ("grpc.max_connection_age_grace_ms", _ms(settings.max_connection_age_grace_s)),
        ]
    return options


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
