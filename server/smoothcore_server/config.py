"""Settings of `smoothd`: from the environment (``SMOOTHD_…``) and a TOML file.

Every setting is documented here; `smoothd settings` prints them. A wrong or an unknown one is
refused at start, with the reason.
"""

from __future__ import annotations

import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

PREFIX = "SMOOTHD_"

Addresses: TypeAlias = Annotated[list[str], NoDecode]
"""In a variable with commas between them; else pydantic would expect JSON there."""


class ConfigError(Exception):
    """The settings are wrong; the message names each and says why."""


class Settings(BaseSettings):
    """All that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, populate_by_name=True
    )

    data_dir: Path = Field(
        Path("smooth-data"), description="Where the SQLite database and the root key are kept."
    )
    database_url: SecretStr | None = Field(
        None,
        description="postgresql://user:password@host/database, or sqlite:///path. "
        "Default: SQLite in the data directory.",
    )
    root_key: SecretStr | None = Field(
        None,
        validation_alias="SMOOTH_ROOT_KEY",
        description="The root key, 64 hex digits, in the variable SMOOTH_ROOT_KEY. Replicas share "
        "it. Default: the file root.key in the data directory, made at the first start.",
    )
    listen: Addresses = Field(
        ["127.0.0.1:50051"],
        description="Addresses: host:port, [::1]:port or unix:/path; in the variable with commas "
        "between them. Port 0 takes any free one.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Server processes that share the port; more than one needs PostgreSQL. Limits "
        "and pools are those of each; worker N serves its metrics N ports above metrics_listen.",
    )
    operator_socket: str | None = Field(
        None,
        description="Path of the operator's local socket; empty for none. Default: smoothd.sock in "
        "the data directory (on Windows none).",
    )
    insecure_listen: bool = Field(
        False, description="Serve an address that others can reach without TLS (behind a proxy)."
    )
    tls_certificate: Path | None = Field(None, description="PEM chain, leaf first. Reloaded.")
    tls_key: Path | None = Field(None, description="PEM key of the certificate.")
    tls_client_ca: Path | None = Field(
        None,
        description="PEM of the authority of clients' certificates. Reloaded. Without "
        "gateway_listen all clients must show one of it, with it those at gateway_listen only. One "
        "whose name an API key has (smooth keys create --certificate-name) stands for that key.",
    )
    gateway_listen: Addresses = Field(
        [],
        description="More addresses, host:port, where clients must show a certificate of "
        "tls_client_ca and need no other credential where it stands for an API key.",
    )
    metrics_listen: str = Field(
        "127.0.0.1:9464", description="Address of the Prometheus metrics; empty for none."
    )
    otlp_endpoint: str = Field(
        "", description="OpenTelemetry collector (OTLP over HTTP) for traces; empty for none."
    )
    log_format: Literal["json", "console"] = Field("json", description="Format of log lines.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged."
    )
    reflection: bool = Field(True, description="Whether the server describes itself to grpcurl.")
    public_probes: bool | None = Field(
        None,
        description="Whether health and reflection need no credential. "
        "Default: only on loopback and unix sockets.",
    )
    default_deadline_s: float = Field(
        30.0, gt=0, le=3600, description="For calls whose client has set none."
    )
    max_deadline_s: float = Field(
        120.0, gt=0, le=3600, description="Longer deadlines of calls are cut to this."
    )
    max_message_bytes: int = Field(
        4 * 2**20 + 65_536, ge=65_536, le=64 * 2**20, description="Largest request message."
    )
    max_program_bytes: int = Field(
        64 * 2**20, ge=1_024, le=2**30, description="Largest NC program."
    )
    max_calls: int = Field(1_024, ge=1, description="Calls in flight in this process.")
    max_watches: int = Field(5_000, ge=1, description="Open watches in this process.")
    max_uploads: int = Field(64, ge=1, description="Uploads in flight in this process.")
    address_calls_per_s: float = Field(
        2_000.0,
        gt=0,
        description="Calls per second from one address (an IPv6 /64), before anything is known of "
        "the caller; bursts of four times that. Behind a proxy all callers share one.",
    )
    calls_per_s: float = Field(
        1_000.0,
        gt=0,
        description="Unary calls per second with one credential; bursts of four times that.",
    )
    watches_per_s: float = Field(
        250.0,
        gt=0,
        description="Watches that one credential may open per second; bursts of four times that.",
    )
    uploads_per_s: float = Field(
        20.0,
        gt=0,
        description="Uploads that one credential may begin per second; bursts of four times that.",
    )
    security_events_days: float = Field(
        365.0, gt=0, description="How long logins, refusals and sensitive calls are kept."
    )
    progress_interval_s: float = Field(
        10.0, gt=0, le=3600, description="A watch without news sends a progress message after it."
    )
    drain_delay_s: float = Field(
        0.0, ge=0, le=600, description="After SIGTERM: time for load balancers to notice."
    )
    max_connection_age_s: float | None = Field(
        None, gt=0, description="Clients reconnect after this time, to spread over replicas."
    )
    access_token_lifetime_s: float = Field(
        600.0,
        ge=10,
        le=3600,
        description="How long an access token of a login works; clients get new ones by "
        "themselves.",
    )
    oidc_issuer: str = Field(
        "",
        description="Accept tokens of this OpenID Connect issuer (claim iss); empty for none.",
    )
    oidc_audience: str = Field(
        "",
        description="What the claim aud of its tokens must hold: this server, by its name there.",
    )
    oidc_jwks: str = Field(
        "",
        description="Where its keys are: a JWKS file, or an https URL. RS256, ES256 and EdDSA.",
    )
    oidc_organization: str = Field(
        "default", description="The organization that its users belong to."
    )
    oidc_role_claim: str = Field(
        "roles", description="The claim that lists their roles; a path such as realm_access.roles."
    )
    oidc_role_map: dict[str, str] = Field(
        {},
        description="From a value of that claim to a role of ours, as JSON: "
        '{"shop-engineers": "engineer"}. Other values give no right.',
    )
    session_lifetime_s: float = Field(
        12 * 3600.0,
        ge=60,
        le=90 * 86_400,
        description="How long after a login its session ends, however often it is renewed.",
    )
    session_idle_s: float = Field(
        4 * 3600.0,
        ge=60,
        le=90 * 86_400,
        description="A session that is not renewed for so long is over.",
    )
    postgres_pool_size: int = Field(10, ge=2, le=200, description="Connections to PostgreSQL.")
    statement_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="Longest statement on PostgreSQL."
    )

    redis_url: SecretStr | None = Field(
        None,
        description="redis://host:6379/0 of Redis or Valkey: several servers on one PostgreSQL "
        "count calls and failed logins together, and tell each other of commits by its pub/sub. "
        "Default: each counts by itself, and NOTIFY of PostgreSQL tells. Losing it loses nothing; "
        "what others write is found within a second then.",
    )
    feed_horizon: timedelta | None = Field(
        None,
        description="Age (12h, 30d) behind which resume tokens are refused and clients list again. "
        "Default: the history's; where that is kept for ever, none.",
    )
    history: timedelta | None = Field(
        None,
        description="Age (90d, 3650d) behind which the change log drops what resources were; who "
        "changed what and when stays. Default: kept for ever.",
    )

    @field_validator("feed_horizon", "history", mode="before")
    @classmethod
    def _span(cls, value: Any) -> Any:
        return parse_span(value) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("redis://", "rediss://", "unix://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @field_validator("listen", "gateway_listen", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return [address.strip() for address in value.split(",") if address.strip()]

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _parse_url(value)
        return value

    @model_validator(mode="after")
    def _pairs(self) -> Settings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        if len({bool(self.oidc_issuer), bool(self.oidc_audience), bool(self.oidc_jwks)}) > 1:
            raise ValueError("oidc_issuer, oidc_audience and oidc_jwks go together")
        if self.gateway_listen and self.tls_client_ca is None:
            raise ValueError("gateway_listen needs tls_certificate, tls_key and tls_client_ca")
        if self.default_deadline_s > self.max_deadline_s:
            raise ValueError("default_deadline_s is longer than max_deadline_s")
        if self.feed_horizon and self.history and self.history < self.feed_horizon:
            raise ValueError("history is shorter than feed_horizon, which needs it")
        return self

    @property
    def url(self) -> URL:
        """Where the database is."""
        if self.database_url is None:
            return URL.create("sqlite", database=str(self.data_dir / "smooth.db"))
        return _parse_url(self.database_url)

    @property
    def operator_path(self) -> Path | None:
        """Where the operator's socket is; None where there is none."""
        if os.name != "posix" or self.operator_socket == "":
            return None
        return Path(self.operator_socket or self.data_dir / "smoothd.sock").absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line wins over the environment, the environment over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_span(text: str) -> timedelta:
    """A span such as 90s, 15m, 12h or 30d. Raises ValueError."""
    found = _SPAN.fullmatch(text.strip())
    if not found or not int(found[1]):
        raise ValueError(f"{text!r} is no span of time; write 90s, 15m, 12h or 30d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _parse_url(value: SecretStr) -> URL:
    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError("is no database URL; write postgresql://user:password@host/db") from None
    if url.drivername in ("postgresql", "postgres", "postgresql+asyncpg"):
        return url.set(drivername="postgresql+asyncpg")
    if url.drivername == "sqlite" and url.database:
        return url
    raise ValueError("must begin with postgresql:// or sqlite:///")


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """The settings of this process; ``overrides`` come from the command line.

    Raises ConfigError.
    """
    _refuse_unknown_variables()
    if file is not None and not file.is_file():
        raise ConfigError(f"there is no settings file {file}")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise ConfigError(_explained(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no TOML: {error}") from None
    except SettingsError as error:
        # What is parsed as JSON in a variable; the error names the setting and not its value.
        raise ConfigError(f"{error}: JSON is expected there") from None


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ConfigError(f"there is no setting {unknown[0]}; `smoothd settings` lists them")


def _explained(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"there is no setting {name}; `smoothd settings` lists them")
            continue
        told = item["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {told}" if name else told)
    return "\n".join(lines)
