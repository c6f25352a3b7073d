"""How long who guesses passwords has to wait, and who does not have to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothcore_server.app import lockout
from smoothcore_server.app.lockout import InProcessLockout
from smoothcore_server.domain.errors import ResourceExhaustedError
from smoothcore_server.domain.lockout import ACCOUNT, ADDRESS, Backoff


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> InProcessLockout:
    return InProcessLockout(clock)


async def wait_of(guard: InProcessLockout, account: str, address: str = "") -> float:
    """How long an attempt has to wait; 0 for one that was let in, and counted."""
    try:
        await guard.begin(account, address)
    except ResourceExhaustedError as error:
        return error.retry_after_s or 0.0
    return 0.0


async def test_the_wait_doubles_with_each_attempt_up_to_the_longest(
    guard: InProcessLockout, clock: Clock
) -> None:
    for _ in range(ACCOUNT.free):
        assert await wait_of(guard, "ann") == 0
    seen = []
    for _ in range(12):
        wait_s = await wait_of(guard, "ann")
        seen.append(wait_s)
        clock.now += wait_s
        assert await wait_of(guard, "ann") == 0
    assert seen[:5] == [5, 10, 20, 40, 80]
    assert max(seen) == seen[-1] == ACCOUNT.longest_s


async def test_an_attempt_that_comes_too_early_makes_nothing_worse(
    guard: InProcessLockout, clock: Clock
) -> None:
    for _ in range(ACCOUNT.free):
        await wait_of(guard, "ann")
    assert [await wait_of(guard, "ann") for _ in range(50)] == [5.0] * 50
    clock.now += 5
    assert await wait_of(guard, "ann") == 0


async def test_who_waits_for_one_account_is_free_for_another(guard: InProcessLockout) -> None:
    for _ in range(ACCOUNT.free):
        await wait_of(guard, "ann", "10.0.0.7")
    assert await wait_of(guard, "ann", "10.0.0.7") > 0
    assert await wait_of(guard, "bob", "10.0.0.7") == 0
    assert await wait_of(guard, "ann", "10.0.0.8") > 0


async def test_an_address_that_tries_many_accounts_waits_and_others_do_not(
    guard: InProcessLockout,
) -> None:
    for number in range(ADDRESS.free):
        assert await wait_of(guard, f"user-{number}", "10.0.0.7") == 0
    assert await wait_of(guard, "ann", "10.0.0.7") > 0
    assert await wait_of(guard, "ann", "10.0.0.8") == 0
    assert await wait_of(guard, "ann", "") == 0, "a local socket has no address"


async def test_a_right_password_frees_the_account(guard: InProcessLockout) -> None:
    for _ in range(ACCOUNT.free - 1):
        await wait_of(guard, "ann")
    await wait_of(guard, "ann")
    await guard.succeeded("ann", "")
    assert [await wait_of(guard, "ann") for _ in range(ACCOUNT.free)] == [0] * ACCOUNT.free


async def test_ones_own_right_password_buys_no_guesses_of_others(
    guard: InProcessLockout,
) -> None:
    """Between two guesses an attacker logs in with an account of their own."""
    guesses = 0
    while await wait_of(guard, f"victim-{guesses}", "10.0.0.7") == 0:
        guesses += 1
        if await wait_of(guard, "own", "10.0.0.7") == 0:
            await guard.succeeded("own", "10.0.0.7")
        assert guesses <= ADDRESS.free
    assert guesses == ADDRESS.free


async def test_an_attempt_that_was_never_looked_at_does_not_count(guard: InProcessLockout) -> None:
    for _ in range(ADDRESS.free * 2):
        assert await wait_of(guard, "ann", "10.0.0.7") == 0
        await guard.abandoned("ann", "10.0.0.7")


async def test_all_is_forgotten_after_a_quiet_hour(guard: InProcessLockout, clock: Clock) -> None:
    for _ in range(ACCOUNT.free):
        await wait_of(guard, "ann")
    clock.now += ACCOUNT.forget_after_s
    assert [await wait_of(guard, "ann") for _ in range(ACCOUNT.free)] == [0] * ACCOUNT.free


async def test_no_flood_of_names_fills_the_memory(
    guard: InProcessLockout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockout, "MAX_KNOWN", 100)
    for number in range(300):
        await wait_of(guard, f"user-{number}")
    assert len(guard._accounts._known) == 100
    for _ in range(ACCOUNT.free):
        await wait_of(guard, "user-299")
    assert await wait_of(guard, "user-299") > 0


async def test_the_error_is_the_same_for_every_account(guard: InProcessLockout) -> None:
    messages = set()
    for account in ("ann", "nobody"):
        for _ in range(ACCOUNT.free):
            await wait_of(guard, account)
        with pytest.raises(ResourceExhaustedError) as caught:
            await guard.begin(account, "")
        messages.add((caught.value.message, str(caught.value.metadata)))
    assert len(messages) == 1


@given(st.integers(min_value=0, max_value=10**9))
def test_no_number_of_attempts_makes_the_wait_shorter_or_endless(attempts: int) -> None:
    backoff = Backoff(free=3)
    assert 0 <= backoff.wait_s(attempts) <= backoff.wait_s(attempts + 1) <= backoff.longest_s
