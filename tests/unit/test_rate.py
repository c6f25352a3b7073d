"""Limiting rates: the arithmetic, and what one process counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothcore_server.app import rate_limits
from smoothcore_server.app.call import network_of
from smoothcore_server.app.rate_limits import LocalRateLimiter
from smoothcore_server.domain.rate import Rate, take, wait_s

RATES = st.builds(Rate, st.floats(0.01, 10_000), st.integers(1, 10_000))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_rate_that_lets_nothing_through_is_refused(per_s: float, burst: int) -> None:
    with pytest.raises(ValueError, match="a rate needs"):
        Rate(per_s, burst)


@given(rate=RATES, pauses=st.lists(st.floats(0, 10), max_size=200))
def test_never_more_than_a_burst_and_the_rate_get_through(rate: Rate, pauses: list[float]) -> None:
    now = full_at = 0.0
    granted = 0
    for pause in [0.0, *pauses]:
        now += pause
        more, full_at = take(rate, full_at, now, rate.burst)
        granted += more
        assert granted <= rate.burst + now * rate.per_s + 1e-3 * (1 + now * rate.per_s)


@given(rate=RATES, calls=st.integers(1, 300))
def test_who_waits_as_long_as_told_gets_through(rate: Rate, calls: int) -> None:
    now = full_at = 0.0
    for _ in range(calls):
        granted, after = take(rate, full_at, now)
        if not granted:
            assert after == full_at, "what is refused does not count"
            now += wait_s(rate, full_at, now) + 1e-9 + now * 1e-12
            granted, after = take(rate, full_at, now)
        assert granted == 1
        full_at = after


@given(rate=RATES)
def test_after_a_pause_a_whole_burst_gets_through_at_once_and_then_no_more(rate: Rate) -> None:
    granted, full_at = take(rate, 0.0, 1e6, rate.burst + 5)
    assert granted == rate.burst
    assert take(rate, full_at, 1e6)[0] == 0


async def test_keys_are_counted_apart() -> None:
    limiter = LocalRateLimiter(Clock())
    rate = Rate(1, 2)
    assert [await limiter.wait_s("a", rate) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert await limiter.wait_s("b", rate) == 0.0


async def test_a_bucket_fills_with_time() -> None:
    clock = Clock()
    limiter = LocalRateLimiter(clock)
    rate = Rate(2, 1)
    assert await limiter.wait_s("a", rate) == 0.0
    assert await limiter.wait_s("a", rate) == 0.5
    clock.now += 0.5
    assert await limiter.wait_s("a", rate) == 0.0


async def test_memory_is_bounded_whoever_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_KEYS", 100)
    limiter = LocalRateLimiter(Clock())
    for number in range(1_000):
        await limiter.wait_s(f"address:{number}", Rate(1, 1))
    assert len(limiter) == 100


def test_an_ipv6_host_cannot_get_around_its_limit_with_addresses_of_its_own() -> None:
    assert network_of("[2001:db8:1:2:aaaa::1]") == network_of("2001:db8:1:2:bbbb::2")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == network_of("fe80::2%eth0")
    assert network_of("no address") == "no address"
