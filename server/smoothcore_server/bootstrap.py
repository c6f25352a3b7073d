"""The composition root: the only place that wires things."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
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
from smoothcore_server.api.instance_service import InstanceApi, Running
from smoothcore_server.api.job_service import JobApi
from smoothcore_server.api.machine_service import MachineApi
from smoothcore_server.api.messages.change_set import encode_image
from smoothcore_server.api.paging import PageTokens
from smoothcore_server.api.program_service import ProgramApi
from smoothcore_server.api.tool_service import ToolApi
from smoothcore_server.api.tool_set_service import ToolSetApi
from smoothcore_server.api.verification_service import VerificationApi
from smoothcore_server.api.watch import WatchSettings
from smoothcore_server.app import organizations, quotas, readiness, signing_keys
from smoothcore_server.app.access_token import AccessTokens
from smoothcore_server.app.api_keys import create_api_key
from smoothcore_server.app.audit import Auditor
from smoothcore_server.app.authenticating import Authenticator
from smoothcore_server.app.certificates import CertificateAuthenticator
from smoothcore_server.app.compaction import CompactionTimer, Compactor
from smoothcore_server.app.credentials import Credentials
from smoothcore_server.app.ended_sessions import EndedSessions
from smoothcore_server.app.external_tokens import ExternalAuthenticator, ExternalIssuer
from smoothcore_server.app.jwk_set import JwkSet, JwkSetError, is_url
from smoothcore_server.app.lockout import InProcessLockout, Lockout
from smoothcore_server.app.login import Logins
from smoothcore_server.app.organizations import Terms
from smoothcore_server.app.passwords import PasswordHasher
from smoothcore_server.app.rate_limits import LocalRateLimiter, RateLimiter
from smoothcore_server.app.redis_scripts import RedisScripts
from smoothcore_server.app.security_events import SecurityEvents
from smoothcore_server.app.session_authenticating import SessionAuthenticator
from smoothcore_server.app.shared_lockout import SharedLockout
from smoothcore_server.app.shared_rate_limits import SharedRateLimiter
from smoothcore_server.app.signing_keys import SigningKeys
from smoothcore_server.app.staleness import StalenessTimer
from smoothcore_server.app.users import create_user, refuse_password
from smoothcore_server.config import ConfigError, Settings
from smoothcore_server.domain.organization import Organization
from smoothcore_server.domain.principal import EVERYTHING, ApiKey
from smoothcore_server.domain.rate import Rate
from smoothcore_server.domain.session import SessionLifetimes
from smoothcore_server.domain.user import Person, User
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.feed.wakeups.postgres import PostgresWakeups
from smoothcore_server.feed.wakeups.redis import RedisWakeups
from smoothcore_server.feed.wakeups.sqlite import SqliteWakeups
from smoothcore_server.feed.wakeups.wakeups import Wakeups
from smoothcore_server.store import instance, secret_table, signing_key_table, sqlite_backup
from smoothcore_server.store.engine import Engine
from smoothcore_server.store.envelope import Envelope
from smoothcore_server.store.postgres import PostgresEngine
from smoothcore_server.store.root_key import (
    Keys,
    RootKeyError,
    derive_keys,
    load_or_create_root_key,
    parse_root_key,
)
from smoothcore_server.store.sqlite import SqliteEngine
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Author, Transaction
from smoothcore_server.transport.drain import Drain
from smoothcore_server.transport.listen import ListenError, check_addresses
from smoothcore_server.transport.metrics import MetricsServer, start_metrics_server
from smoothcore_server.transport.operator import operator_server
from smoothcore_server.transport.server import GrpcServer, Service
from smoothcore_server.transport.settings import (
    ClassLimits,
    DrainSettings,
    Limits,
    ServerSettings,
    TlsSettings,
)
from smoothcore_server.transport.tls import check_files

DEFAULT_ORGANIZATION = "default"
OPERATOR = "operator/smoothd"
"""The actor of what the operator does with `smoothd` commands."""
HEALTH_INTERVAL_S = 1.0
REWRAP_BATCH = 200
"""Secrets; so long does one transaction keep others from writing."""
log = structlog.get_logger("smoothcore")


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What the first start made; the key is shown once."""

    organization: str
    admin_token: str


class Database:
    """An opened database and its keys: what `smoothd` commands need without a server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = _keys(settings)
        self.envelope = Envelope(self.keys.envelope)
        self.store = Store(
            _engine(settings),
            chain_key=self.keys.chain,
            encode=encode_image,
            before_commit=_before_commit,
        )

    async def prepare(self) -> FirstStart | None:
        """Migrate; on an empty database make the first organization and its admin key."""
        await self.store.run_write(smoothcore_migrations.upgrade)
        now = self.store.clock()
        await self.store.run_write(
            lambda connection: instance.begin(
                connection, DEFAULT_ORGANIZATION, now, self.keys.fingerprint
            )
        )
        if await self.store.run_read(instance.root_key_fingerprint) != self.keys.fingerprint:
            raise RootKeyError(
                "the root key is not the one that this database was made with: its API keys and "
                "its change log could not be verified. Restore root.key (or SMOOTH_ROOT_KEY) from "
                "your copy"
            )
        await self.store.run_write(
            lambda connection: signing_key_table.ensure(connection, self.envelope, now)
        )
        committed = await self.store.transact(
            Author(DEFAULT_ORGANIZATION, OPERATOR, method="smoothd.serve"),
            self._first_key,
            lambda made, _revision: made,
        )
        token = committed.value
        return FirstStart(DEFAULT_ORGANIZATION, token) if token else None

    def _first_key(self, tx: Transaction) -> str:
        """The admin key of an organization that has no key yet; empty where it has. A start that
        was cut off before it could show the key is thereby made good by the next."""
        if tx.api_keys.count():
            return ""
        return create_api_key(tx, _admin_key(), self.keys.api_key, maker=None).token

    async def create_organization(self, organization: str, display_name: str) -> None:
        """Make an organization."""
        await organizations.create(self.store, Organization(organization, display_name))

    async def create_key(self, organization: str, key: ApiKey) -> str:
        """Make an API key as the operator; gives the token."""
        committed = await self.store.transact(
            Author(organization, OPERATOR, method="smoothd.keys.create"),
            lambda tx: create_api_key(tx, key, self.keys.api_key, maker=None),
            lambda made, _revision: made.token,
        )
        token: str = committed.value
        return token

    async def create_user(
        self, organization: str, user: User, person: Person, password: str
    ) -> User:
        """Make a user as the operator."""
        refuse_password("password", password, person.email)
        passwords = PasswordHasher()
        password_hash = await passwords.hash(password)
        await passwords.stop()
        committed = await self.store.transact(
            Author(organization, OPERATOR, method="smoothd.users.create"),
            lambda tx: create_user(tx, user, person, password_hash, maker=None),
            lambda made, _revision: made,
        )
        made: User = committed.value
        return made

    async def rotate_signing_keys(self, *, revoke: bool) -> str:
        """Sign access tokens with another key from now on; gives its id."""
        lifetime = timedelta(seconds=self.settings.access_token_lifetime_s)
        return await signing_keys.rotate(self.store, self.envelope, lifetime, revoke=revoke)

    async def rewrap_secrets(self) -> tuple[int, int]:
        """Wrap all sealed secrets with a new generation of keys; gives it, and how many they were.

        A run that is cut off leaves some under the older generation, which can still be read; the
        next run goes on with it.
        """
        generation = await self.store.run_write(secret_table.begin_rewrap)
        count = 0
        while some := await self.store.run_write(
            lambda connection: secret_table.rewrap_some(
                connection, self.envelope, generation, REWRAP_BATCH
            )
        ):
            count += some
        return generation, count

    async def operator_api(self, start_time: datetime | None = None) -> InstanceApi:
        """What only the operator may do; ``start_time`` is that of a server."""
        schema = await self.store.run_read(smoothcore_migrations.current)
        return InstanceApi(
            self.store,
            self.keys,
            Running(schema, start_time),
            lambda organization: self.create_key(organization, _admin_key()),
        )

    async def auditor(self) -> Auditor:
        """Verifies the change logs of this database."""
        timeline = await self.store.run_read(instance.timeline)
        assert timeline is not None, "prepare() has made it"
        return Auditor(self.store, self.keys, timeline)

    async def close(self) -> None:
        """Let go of the database."""
        await self.store.close()


async def restore_backup(settings: Settings, backup: Path | None, *, replace: bool) -> Path | None:
    """Put a backup in the place of the database, which nobody has open, and begin a new history.
    Gives where the database that was there is now.

    On PostgreSQL, which has been restored already, there is no backup to name. Raises ConfigError
    or BackupError.
    """
    is_sqlite = settings.url.drivername == "sqlite"
    if is_sqlite != (backup is not None):
        raise ConfigError(
            "name the file that smoothd backup wrote"
            if is_sqlite
            else "PostgreSQL is restored with pg_restore; then run this without a file"
        )
    kept = None
    if backup is not None:
        kept = await asyncio.to_thread(_put_back, settings, backup, replace)
    database = Database(settings)
    try:
        await database.store.run_write(instance.begin_timeline)
        await database.prepare()
    finally:
        await database.close()
    return kept


def _put_back(settings: Settings, backup: Path, replace: bool) -> Path | None:
    path = Path(settings.url.database or "")
    there = path.exists()
    if there and not replace:
        raise ConfigError(f"there is a database {path}; --replace sets it aside")
    sqlite_backup.check(backup, _keys(settings, is_restoring=True).fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = path.with_name(f"{path.name}.before-restore-{stamp}") if there else None
    sqlite_backup.put_back(backup, path, kept)
    return kept


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

    async def start(self) -> None:
        """Open the database, migrate it, follow its log, and serve.

        Raises ConfigError, RootKeyError, ListenError or TlsError with a message for the operator.
        """
        # The store works in threads of its own; the default interval of 5 ms would let it hold
        # the event loop up.
        sys.setswitchinterval(0.0005)
        # Before the first start makes a key that would never be shown.
        serving = server_settings(self.settings, reuse_port=self._shares_port)
        check_serving(serving, self.settings.metrics_listen)
        issuer_keys = await _issuer_keys(self.settings)
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
        self.server = GrpcServer(
            serving,
            self._services(self.database.keys, timeline),
            authenticate=Credentials(
                Authenticator(self.store, self.database.keys.api_key),
                SessionAuthenticator(self.store, self.access_tokens),
                _external(self.settings, self.store, issuer_keys),
            ),
            terms=self.terms.of,
            registry=self.registry,
            drain=self.drain,
            tracer=_tracer(self.settings),
            limiter=limiter,
            note=self.security_events.note,
            authenticate_certificate=CertificateAuthenticator(self.store)
            if self.settings.tls_client_ca
            else None,
        )
        bound = await self.server.start()
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
        """Serve until SIGTERM or SIGINT, then go away in order."""
        self.drain.listen_for_signals()
        await self.drain.signalled.wait()
        await self.stop()

    def _shared_counts(self, timeline: str) -> tuple[RateLimiter, Lockout]:
        """What counts callers: over all servers that share a Redis, or in this process."""
        if self.settings.redis_url is None:
            return LocalRateLimiter(), InProcessLockout()
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
                IdentityApi(*common, keys, self.passwords),
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
            logins=Logins(self.store, self.passwords, self.lockout, self.security_events.note),
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

    async def _watch_health(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_INTERVAL_S)
            await self._check_health()

    async def _check_health(self) -> None:
        """SERVING while the database answers with the schema we know, and the feed follows."""
        try:
            current = await self.store.run_read(smoothcore_migrations.is_current)
        except Exception as error:
            log.warning("database unreachable", error=type(error).__name__)
            current = False
        serving = current and self.feed.is_following
        if serving != self.server.health.is_serving and not self.drain.requested.is_set():
            log.info("health", serving=serving)
            await self.server.health.set_serving(serving)

    async def _end_watches(self) -> None:
        await self.drain.requested.wait()
        self.feed.end()

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.metrics is not None:
            await asyncio.to_thread(self.metrics.stop)


def _before_commit(tx: Transaction) -> None:
    """What each transaction does at its end: judge what it has touched, and count it."""
    readiness.refresh(tx)
    quotas.check(tx)


def _service(add: object, servicer: object) -> Service:
    name = getattr(add, "__name__", "").removeprefix("add_").removesuffix("Servicer_to_server")
    return Service(add, servicer, f"smoothcore.v1.{name}")  # type: ignore[arg-type]


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


BURST_S = 4.0
"""A caller that was quiet may catch up on so much of its rate at once."""


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


def _engine(settings: Settings) -> Engine:
    url = settings.url
    if url.drivername == "sqlite":
        path = Path(url.database or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteEngine(path)
    return PostgresEngine(
        url.render_as_string(hide_password=False),
        pool_size=settings.postgres_pool_size,
        statement_timeout_s=settings.statement_timeout_s,
    )


def _wakeups(settings: Settings, timeline: str) -> Wakeups:
    if settings.redis_url is not None:
        return RedisWakeups(settings.redis_url.get_secret_value(), timeline)
    url = settings.url
    if url.drivername == "sqlite":
        return SqliteWakeups(Path(url.database or ""))
    return PostgresWakeups(url.render_as_string(hide_password=False))


def _keys(settings: Settings, *, is_restoring: bool = False) -> Keys:
    if settings.root_key is not None:
        return derive_keys(parse_root_key(settings.root_key.get_secret_value()))
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        settings.data_dir.chmod(0o700)
    path = settings.data_dir / "root.key"
    if not path.exists() and (is_restoring or database_file_exists(settings)):
        raise RootKeyError(
            f"{path} is missing, though the database is not new. Restore it from your copy: "
            "without it no API key works and the change log cannot be verified"
        )
    return derive_keys(load_or_create_root_key(path))


def database_file_exists(settings: Settings) -> bool:
    """Whether there is a SQLite database already; False on PostgreSQL, which is asked later."""
    url = settings.url
    return url.drivername == "sqlite" and Path(url.database or "").exists()


def _admin_key() -> ApiKey:
    return ApiKey(id="", display_name="admin", permissions=frozenset({EVERYTHING}))


async def _issuer_keys(settings: Settings) -> JwkSet | None:
    """The keys of the external issuer, if one is configured. Raises ConfigError."""
    if not settings.oidc_jwks:
        return None
    try:
        keys = JwkSet(settings.oidc_jwks)
    except JwkSetError as error:
        raise ConfigError(f"oidc_jwks: {error}") from None
    try:
        await keys.load()
    except JwkSetError as error:
        if not is_url(settings.oidc_jwks):
            raise ConfigError(f"oidc_jwks: {error}") from None
        # The issuer may be down, or start later; its keys are asked for when they are needed.
        log.warning("keys of the issuer cannot be read", reason=str(error))
    return keys


def _external(
    settings: Settings, store: Store, keys: JwkSet | None
) -> ExternalAuthenticator | None:
    """Who recognizes tokens of the external issuer, if one is configured."""
    if keys is None:
        return None
    issuer = ExternalIssuer(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        organization=settings.oidc_organization,
        role_claim=settings.oidc_role_claim,
        role_map=settings.oidc_role_map,
    )
    return ExternalAuthenticator(store, keys, issuer)


def _tracer(settings: Settings) -> Tracer | None:
    if not settings.otlp_endpoint:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "smooth-core"}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint))
    )
    return provider.get_tracer("smoothcore")
