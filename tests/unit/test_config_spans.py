"""Settings that are spans of time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from smoothcore_server.config import ConfigError, Settings, load_settings, parse_span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 12h ", timedelta(hours=12)),
        ("3650d", timedelta(days=3650)),
    ],
)
def test_a_span_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "1w", "1d12h", "9999999d"])
def test_what_is_no_span_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="write 90s, 15m, 12h or 30d"):
        parse_span(text)


def test_by_default_the_history_is_kept_for_ever() -> None:
    settings = Settings()
    assert (settings.feed_horizon, settings.history) == (None, None)


def test_horizons_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOOTHD_FEED_HORIZON", "30d")
    monkeypatch.setenv("SMOOTHD_HISTORY", "3650d")
    settings = load_settings()
    assert (settings.feed_horizon, settings.history) == (timedelta(30), timedelta(3650))


def test_a_history_that_is_shorter_than_the_feed_horizon_is_refused() -> None:
    with pytest.raises(ConfigError, match="history is shorter than feed_horizon"):
        load_settings(feed_horizon="30d", history="7d")
