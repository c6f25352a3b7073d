"""A whole server: started, running, stopped."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

import smoothcore_migrations
from smoothcore.v1 import (
    audit_service_pb2_grpc,
    auth_service_pb2_grpc,
    binding_service_pb2_grpc,
    change_service_pb2_grpc,
    identity_service_pb2_grpc,
    instance_service_pb2_grpc,
    job_service_pb2_grpc,
    machine_service_pb2_grpc,
    program_service_pb2_grpc,
    tool_service_pb2_grpc,
    tool_set_service_pb2_grpc,
    verification_service_pb2_grpc,
)
from smoothcore_server.api.audit_service import AuditApi
from smoothcore_server.api.auth_service import AuthApi
from smoothcore_server.api.auth_service import Sources as LoginSources
from smoothcore_server.api.binding_service import BindingApi
from smoothcore_server.api.change_service import ChangeApi
from smoothcore_server.api.identity_service import IdentityApi
from smoothcore_server.api.job_service import JobApi
from smoothcore_server.api.machine_service import MachineApi
from smoothcore_server.api.paging import PageTokens
from smoothcore_server.api.program_service import ProgramApi
from smoothcore_server.api.tool_service import ToolApi
from smoothcore_server.api.tool_set_service import ToolSetApi
from smoothcore_server.api.verification_service import VerificationApi
from smoothcore_server.api.watch import WatchSettings
from smoothcore_server.app.access_token import AccessTokens
from smoothcore_server.app.audit import Auditor
from smoothcore_server.app.authenticating import Authenticator
from smoothcore_server.app.certificates import CertificateAuthenticator
from smoothcore_server.app.compaction import CompactionTimer, Compactor
from smoothcore_server.app.credentials import Credentials
from smoothcore_server.app.ended_sessions import EndedSessions
from smoothcore_server.app.lockout import InProcessLockout, Lockout
from smoothcore_server.app.login import Logins
from smoothcore_server.app.organizations import Terms
from smoothcore_server.app.passwords import PasswordHasher
from smoothcore_server.app.rate_limits import LocalRateLimiter, RateLimiter
from smoothcore_server.app.security_events import SecurityEvents
from smoothcore_server.app.session_authenticating import SessionAuthenticator
from smoothcore_server.app.signing_keys import SigningKeys
from smoothcore_server.app.staleness import StalenessTimer
from smoothcore_server.bootstrap.database import Database, FirstStart, why
from smoothcore_server.bootstrap.issuer import external_authenticator, issuer_keys
from smoothcore_server.bootstrap.metrics import ServerMetrics
from smoothcore_server.bootstrap.serving import check_serving, server_settings
from smoothcore_server.config import Settings
from smoothcore_server.domain.session import SessionLifetimes
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.feed.wakeups.postgres import PostgresWakeups
from smoothcore_server.feed.wakeups.sqlite import SqliteWakeups
from smoothcore_server.feed.wakeups.wakeups import Wakeups
from smoothcore_server.store import instance
from smoothcore_server.store.root_key import (
    Keys,
)
from smoothcore_server.transport.drain import Drain
from smoothcore_server.transport.listen import ListenError
from smoothcore_server.transport.memory import MemoryTimer
from smoothcore_server.transport.metrics import MetricsServer, start_metrics_server
from smoothcore_server.transport.operator import operator_server
from smoothcore_server.transport.server import GrpcServer, Service
from smoothcore_server.transport.settings import (
    DrainSettings,
    ServerSettings,
)

HEALTH_INTERVAL_S = 1.0
SPANS_TIMEOUT_S = 5.0
"""A server that goes away waits no longer for whoever collects its spans."""
log = structlog.get_logger("smoothcore")


class ServerEndedError(Exception):
    """Nobody told the server to end."""


class Application:
    """A whole server: started, running, stopped."""

    def __init__(self, settings: Settings, *, shares_port: bool = False) -> None:
        """``shares_port``: as a worker, whose supervisor has made sure that the port is ours."""
        self.settings = settings
        self._shares_port = shares_port
        self.registry = CollectorRegistry()
        self.drain = Drain(DrainSettings(balancer_delay_s=settings.drain_delay_s))
        self.addresses: tuple[str, ...] = ()
        self.gateway_addresses: tuple[str, ...] = ()
        self.metrics: MetricsServer | None = None
        self.first_start: FirstStart | None = None
        self._told_ailment: str | None = None
        """Of what health was last said; None before that."""

    async def start(self) -> None:
        """Open the database, migrate it, follow its log, and serve.

        Raises ConfigError, DatabaseError, RootKeyError, ListenError or TlsError with a message for
        the operator.
        """
        # The store works in threads of its own; the default interval of 5 ms would let it hold
        # the event loop up.
        sys.setswitchinterval(0.0002)
        # Before the first start makes a key that would never be shown.
        serving = server_settings(self.settings, reuse_port=self._shares_port)
        check_serving(serving, self.settings.metrics_listen)
        keys_of_issuer = await issuer_keys(self.settings)
        self.database = Database(self.settings)
        self.store = self.database.store
        self.first_start = await self.database.prepare()
        self.passwords = PasswordHasher()
        timeline = await self.store.run_read(instance.timeline)
        assert timeline is not None, "prepare() has made it"
        self.feed = Feed(self.store, _wakeups(self.settings, timeline))
        await self.feed.start()
        self.terms = Terms(self.store)
        lifetime = timedelta(seconds=self.settings.access_token_lifetime_s)
        self.ended_sessions = EndedSessions(self.store)
        self.signing_keys = SigningKeys(self.store, self.database.envelope)
        self.access_tokens = AccessTokens(self.store, self.signing_keys, timeline, lifetime)
        self.security_events = SecurityEvents(
            self.store, timedelta(days=self.settings.security_events_days)
        )
        limiter, self.lockout = self._shared_counts(timeline)
        self.logins = Logins(self.store, self.passwords, self.lockout, self.security_events.note)
        self.server = GrpcServer(
            serving,
            self._services(self.database.keys, timeline),
            authenticate=Credentials(
                Authenticator(self.store, self.database.keys.api_key),
                SessionAuthenticator(self.store, self.access_tokens),
                external_authenticator(self.settings, self.store, keys_of_issuer),
            ),
            terms=self.terms.of,
            registry=self.registry,
            drain=self.drain,
            tracer=self._tracer(),
            limiter=limiter,
            note=self.security_events.note,
            authenticate_certificate=CertificateAuthenticator(self.store)
            if self.settings.tls_client_ca
            else None,
        )
        bound = await self.server.start()
        ServerMetrics(self.feed, self.store.engine, lambda: self.server.health.is_serving).register(
            self.registry
        )
        count = len(serving.listen)
        self.addresses, self.gateway_addresses = bound[:count], bound[count:]
        if self.settings.metrics_listen:
            self.metrics = start_metrics_server(self.registry, self.settings.metrics_listen)
        self.timer = StalenessTimer(self.store)
        self._tasks = [
            asyncio.create_task(self._watch_health(), name="health"),
            asyncio.create_task(self._end_watches(), name="end-watches"),
            asyncio.create_task(self.timer.run(), name="staleness"),
            asyncio.create_task(self.ended_sessions.run(), name="ended-sessions"),
            asyncio.create_task(self.security_events.run(), name="security-events"),
            asyncio.create_task(MemoryTimer().run(), name="memory"),
            *self._compaction(),
        ]
        self.drain.on_stopped("store", self.database.close)
        self.drain.on_stopped("security events", self.security_events.flush)
        self.drain.on_stopped("feed", self.feed.stop)
        self.drain.on_stopped("passwords", self.passwords.stop)
        self.drain.on_stopped("tasks", self._stop_tasks)
        await self._serve_operator(serving)
        await self._check_health()

    async def stop(self) -> None:
        """Go away in order."""
        await self.server.stop()

    async def run_until_signal(self) -> None:
        """Serve until SIGTERM or SIGINT, then go away in order.

        Raises ServerEndedError where the server has ended by itself: a process that listens no more
        must not look alive, so that whoever watches over it starts another.
        """
        self.drain.listen_for_signals()
        signalled = asyncio.ensure_future(self.drain.signalled.wait())
        ended = asyncio.ensure_future(self.server.wait_for_termination())
        await asyncio.wait((signalled, ended), return_when=asyncio.FIRST_COMPLETED)
        by_itself = not self.drain.signalled.is_set()
        signalled.cancel()
        await self.stop()
        (cause,) = await asyncio.gather(ended, return_exceptions=True)
        if by_itself:
            raise ServerEndedError("the gRPC server ended by itself") from (
                cause if isinstance(cause, BaseException) else None
            )

    def _shared_counts(self, timeline: str) -> tuple[RateLimiter, Lockout]:
        """What counts callers: over all servers that share a Redis, or in this process."""
        if self.settings.redis_url is None:
            return LocalRateLimiter(), InProcessLockout()
        from smoothcore_server.app.redis_scripts import RedisScripts
        from smoothcore_server.app.shared_lockout import SharedLockout
        from smoothcore_server.app.shared_rate_limits import SharedRateLimiter

        url = self.settings.redis_url.get_secret_value()
        scripts = RedisScripts(url, f"smoothcore:{timeline}:")
        self.drain.on_stopped("redis", scripts.close)
        return SharedRateLimiter(scripts), SharedLockout(scripts)

    def _services(self, keys: Keys, timeline: str) -> list[Service]:
        pages = PageTokens(keys.page_token)
        resume = ResumeTokens(keys.resume_token, timeline)
        common = (self.store, pages, resume)
        watch = WatchSettings(progress_interval_s=self.settings.progress_interval_s)
        programs = ProgramApi(*common)
        programs.max_program_bytes = self.settings.max_program_bytes
        return [
            _service(
                auth_service_pb2_grpc.add_AuthServiceServicer_to_server,
                AuthApi(self._login_sources(keys)),
            ),
            _service(
                identity_service_pb2_grpc.add_IdentityServiceServicer_to_server,
                IdentityApi(*common, keys, self.passwords, self.logins),
            ),
            _service(
                machine_service_pb2_grpc.add_MachineServiceServicer_to_server, MachineApi(*common)
            ),
            _service(tool_service_pb2_grpc.add_ToolServiceServicer_to_server, ToolApi(*common)),
            _service(
                tool_set_service_pb2_grpc.add_ToolSetServiceServicer_to_server,
                ToolSetApi(*common),
            ),
            _service(
                binding_service_pb2_grpc.add_BindingServiceServicer_to_server, BindingApi(*common)
            ),
            _service(program_service_pb2_grpc.add_ProgramServiceServicer_to_server, programs),
            _service(job_service_pb2_grpc.add_JobServiceServicer_to_server, JobApi(*common)),
            _service(
                verification_service_pb2_grpc.add_VerificationServiceServicer_to_server,
                VerificationApi(*common),
            ),
            _service(
                change_service_pb2_grpc.add_ChangeServiceServicer_to_server,
                ChangeApi(*common, self.feed, self.ended_sessions, watch),
            ),
            _service(
                audit_service_pb2_grpc.add_AuditServiceServicer_to_server,
                AuditApi(*common, Auditor(self.store, keys, timeline)),
            ),
        ]

    async def _serve_operator(self, serving: ServerSettings) -> None:
        """Serve the operator's methods, on a socket that only our own user can open."""
        path = self.settings.operator_path
        if path is None:
            return
        api = await self.database.operator_api(self.store.clock())
        add = instance_service_pb2_grpc.add_InstanceServiceServicer_to_server
        try:
            operator = operator_server(
                path,
                _service(add, api),
                reflection=serving.reflection,
                note=self.security_events.note,
            )
            await operator.start()
        except ListenError as error:
            if self.settings.operator_socket:
                raise
            # Another process of this instance has it, or the path is too long: its commands work
            # on the database by themselves then.
            log.warning("no operator socket", reason=str(error))
            return
        await operator.health.set_serving(True)
        self.drain.on_stopped("operator socket", operator.stop)

    def _compaction(self) -> list[asyncio.Task[None]]:
        """The schedule, where there is one."""
        feed, history = self.settings.feed_horizon, self.settings.history
        if feed is None and history is None:
            return []
        compactor = Compactor(self.store, self.database.keys.chain)
        timer = CompactionTimer(self.store, compactor, feed, history)
        return [asyncio.create_task(timer.run(), name="compaction")]

    def _login_sources(self, keys: Keys) -> LoginSources:
        return LoginSources(
            store=self.store,
            pages=PageTokens(keys.page_token),
            logins=self.logins,
            tokens=self.access_tokens,
            signing_keys=self.signing_keys,
            hashing_key=keys.refresh_token,
            lifetimes=SessionLifetimes(
                session=timedelta(seconds=self.settings.session_lifetime_s),
                idle=timedelta(seconds=self.settings.session_idle_s),
            ),
            note=self.security_events.note,
            check_organization=self.terms.check,
        )

    def _tracer(self) -> Tracer | None:
        """What spans are made with, where they are sent anywhere."""
        if not self.settings.otlp_endpoint:
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": "smooth-core"})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=self.settings.otlp_endpoint, timeout=SPANS_TIMEOUT_S)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self.drain.on_stopped("traces", lambda: _finish(provider.shutdown, SPANS_TIMEOUT_S))
        return provider.get_tracer("smoothcore")

    async def _watch_health(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_INTERVAL_S)
            await self._check_health()

    async def _check_health(self) -> None:
        """SERVING while the database answers with the schema we know, and the feed follows."""
        ailment = await self._ailment()
        if ailment == self._told_ailment or self.drain.requested.is_set():
            return
        self._told_ailment = ailment
        if ailment:
            log.warning("health", serving=False, reason=ailment)
        else:
            log.info("health", serving=True)
        await self.server.health.set_serving(not ailment)

    async def _ailment(self) -> str:
        """What keeps us from serving; empty where nothing does."""
        try:
            current = await self.store.run_read(smoothcore_migrations.is_current)
        except Exception as error:
            return why(error) or type(error).__name__
        if not current:
            return "the schema of the database is that of another version"
        return "" if self.feed.is_following else "the change log could not be read"

    async def _end_watches(self) -> None:
        await self.drain.requested.wait()
        self.feed.end()

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.metrics is not None:
            await asyncio.to_thread(self.metrics.stop)


def _service(add: object, servicer: object) -> Service:
    name = getattr(add, "__name__", "").removeprefix("add_").removesuffix("Servicer_to_server")
    return Service(add, servicer, f"smoothcore.v1.{name}")  # type: ignore[arg-type]


async def _finish(work: Callable[[], None], seconds: float) -> None:
    """Have work done that blocks, and go without it when it takes longer."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, seconds)


def _wakeups(settings: Settings, timeline: str) -> Wakeups:
    if settings.redis_url is not None:
        from smoothcore_server.feed.wakeups.redis import RedisWakeups

        return RedisWakeups(settings.redis_url.get_secret_value(), timeline)
    url = settings.url
    if url.drivername == "sqlite":
        return SqliteWakeups(Path(url.database or ""))
    return PostgresWakeups(url.render_as_string(hide_password=False))
