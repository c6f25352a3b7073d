"""An opened database and its keys: what `smoothd` commands need without a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

import smoothcore_migrations
from smoothcore_server.api.instance_service import InstanceApi, Running
from smoothcore_server.api.messages.change_set import encode_image
from smoothcore_server.app import organizations, quotas, readiness, signing_keys
from smoothcore_server.app.api_keys import create_api_key
from smoothcore_server.app.audit import Auditor
from smoothcore_server.app.passwords import PasswordHasher
from smoothcore_server.app.users import create_user, refuse_password
from smoothcore_server.config import Settings
from smoothcore_server.domain.errors import UnavailableError
from smoothcore_server.domain.organization import Organization
from smoothcore_server.domain.principal import EVERYTHING, ApiKey
from smoothcore_server.domain.user import Person, User
from smoothcore_server.store import instance, secret_table, signing_key_table
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

DEFAULT_ORGANIZATION = "default"
OPERATOR = "operator/smoothd"
"""The actor of what the operator does with `smoothd` commands."""
REWRAP_BATCH = 200
"""Secrets; so long does one transaction keep others from writing."""


class DatabaseError(Exception):
    """The database cannot be used; the message says which it is, and why."""


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What the first start made; the key is shown once."""

    organization: str
    admin_token: str


class Database:
    """An opened database and its keys: what `smoothd` commands need without a server."""

    def __init__(self, settings: Settings) -> None:
        """Raises DatabaseError or RootKeyError."""
        self.settings = settings
        self.keys = load_keys(settings)
        self.envelope = Envelope(self.keys.envelope)
        self.store = Store(
            _engine(settings),
            chain_key=self.keys.chain,
            encode=encode_image,
            before_commit=_before_commit,
        )

    async def prepare(self) -> FirstStart | None:
        """Migrate; on an empty database make the first organization and its admin key.

        Raises DatabaseError or RootKeyError.
        """
        with told_of(self.settings):
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
            await self.auditor(),
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


@contextlib.contextmanager
def told_of(settings: Settings) -> Iterator[None]:
    """Around the first work on a database: raise DatabaseError where it cannot be used."""
    try:
        yield
    except (UnavailableError, smoothcore_migrations.UnknownSchemaError, DBAPIError) as error:
        shown = _shown(settings.url)
        raise DatabaseError(f"cannot use the database {shown}: {why(error)}") from error


def why(error: BaseException) -> str:
    """What the database says of an error, which callers are not told."""
    if isinstance(error, UnavailableError) and error.__cause__ is not None:
        return str(error.__cause__)
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)


def _shown(url: URL) -> str:
    """Where a database is, without the password."""
    if url.drivername == "sqlite":
        return url.database or ""
    shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
    return f"{shown} (database_url)"


def _before_commit(tx: Transaction) -> None:
    """What each transaction does at its end: judge what it has touched, and count it."""
    readiness.refresh(tx)
    quotas.check(tx)


def _engine(settings: Settings) -> Engine:
    url = settings.url
    if url.drivername == "sqlite":
        path = Path(url.database or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        with told_of(settings):
            return SqliteEngine(path)
    return PostgresEngine(
        url.render_as_string(hide_password=False),
        pool_size=settings.postgres_pool_size,
        statement_timeout_s=settings.statement_timeout_s,
    )


def load_keys(settings: Settings, *, is_restoring: bool = False) -> Keys:
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
