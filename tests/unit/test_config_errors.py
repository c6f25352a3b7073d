"""Settings that are wrong: each is named, with what to do, and never in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoothcore_server.config import ConfigError, load_settings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("listen = [", "{file} is no TOML: Invalid value (at end of document)"),
        ("\xff", "{file} is no TOML: 'utf-8' codec can't decode byte 0xff in position 0: "),
        ("worker = 2", "there is no setting worker; `smoothd settings` lists them"),
        ('history = "10y"', "history: '10y' is no span of time; write 90s, 15m, 12h or 30d"),
        ('tls_key = "x"', "tls_certificate and tls_key go together"),
    ],
)
def test_a_wrong_settings_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as raised:
        load_settings(file)
    assert str(raised.value).startswith(told.format(file=file))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OIDC_ROLE_MAP", "{admins", "oidc_role_map"),
        ("DATABASE_URL", "postgresql://u:s3cret@host:port/db", "database_url: is no database URL"),
        ("REDIS_URL", "http://:s3cret@host", "redis_url: must begin with redis://"),
    ],
)
def test_a_wrong_variable_is_told_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"SMOOTHD_{name}", value)
    with pytest.raises(ConfigError) as raised:
        load_settings()
    assert told in str(raised.value)
    assert value not in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_log_level_may_be_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOOTHD_LOG_LEVEL", "debug")
    assert load_settings().log_level == "DEBUG"
