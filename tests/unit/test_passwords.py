"""Passwords: which are refused, and how their hashes are made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import argon2
import pytest

from smoothcore_server.app.passwords import MEMORY_KIB, PasswordHasher, Verified
from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError
from smoothcore_server.domain.password import why_refused

GOOD = "three blue tigers"


@pytest.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    made = PasswordHasher(max_waiting=2)
    yield made
    await made.stop()


class Gate:
    """Stands in front of the real work of a hasher: counts it, and holds it until opened."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self.calls: list[str] = []
        self.most_at_once = 0
        self.begun = threading.Event()
        self.open = threading.Event()
        self._inside = 0
        self._lock = threading.Lock()
        self._real = hasher._argon2
        hasher._argon2 = self  # type: ignore[assignment]

    def hash(self, password: str) -> str:
        return str(self._held("hash", password))

    def verify(self, stored: str, password: str) -> bool:
        return bool(self._held("verify", stored, password))

    def check_needs_rehash(self, stored: str) -> bool:
        return self._real.check_needs_rehash(stored)

    def _held(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            self.calls.append(name)
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
        self.begun.set()
        try:
            assert self.open.wait(20)
            return getattr(self._real, name)(*arguments)
        finally:
            with self._lock:
                self._inside -= 1


# Rules


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "x" * 257,
        "aaaaaaaaaaaaaaaa",
        "abababababababab",
        "1234567890123456",
        "1234567890abcdef",
        "qwertyuiop123456",
        "lkjhgfdsapoiuytr",
        "Password2024!",
        "ＰＡＳＳＷＯＲＤ2024!",
        "welcomewelcome",
        "Admin admin admin 1",
        "jo.smith@example.com",
        "Jo.Smith@Example.com1",
        "jo.smith12345",
        "jo.smithjo.smith",
    ],
)
def test_a_password_that_is_guessed_first_is_refused(password: str) -> None:
    assert why_refused(password, "Jo.Smith@example.com")


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "x7-Kp!2qLm9z",
        "T3 ist der Fasenfräser",
        "密码密码很长很难猜的密码一二三",
        "é" * 7 + "abcde",
    ],
)
def test_a_long_password_needs_no_special_characters(password: str) -> None:
    assert why_refused(password, "jo.smith@example.com") == ""


@pytest.mark.parametrize("length", [12, 256])
def test_the_shortest_and_the_longest_password_are_accepted(length: int) -> None:
    assert why_refused(("correct horse" * 30)[:length]) == ""


# Hashes


async def fits(hasher: PasswordHasher, stored: str | None, password: str) -> bool:
    return (await hasher.verify(stored, password)).is_right


async def test_a_password_is_the_one_that_was_hashed_and_no_other(hasher: PasswordHasher) -> None:
    stored = await hasher.hash(GOOD)
    assert stored.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t=1,p=1$")
    assert GOOD not in stored
    assert await fits(hasher, stored, GOOD)
    for wrong in (GOOD + "x", GOOD.upper(), ""):
        assert not await fits(hasher, stored, wrong)


async def test_the_same_password_has_another_hash_each_time(hasher: PasswordHasher) -> None:
    assert await hasher.hash(GOOD) != await hasher.hash(GOOD)


async def test_the_same_letters_typed_on_another_keyboard_are_the_same(
    hasher: PasswordHasher,
) -> None:
    composed, decomposed = "pièces détachées", "pie\u0300ces de\u0301tache\u0301es"
    assert composed != decomposed
    assert await fits(hasher, await hasher.hash(composed), decomposed)


@pytest.mark.parametrize("stored", ["", "nonsense", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"])
async def test_a_hash_that_cannot_be_read_is_nobodys(hasher: PasswordHasher, stored: str) -> None:
    assert not await fits(hasher, stored or None, GOOD)


async def test_an_unknown_user_costs_the_same_one_hash_as_a_wrong_password(
    hasher: PasswordHasher,
) -> None:
    stored = await hasher.hash(GOOD)
    gate = Gate(hasher)
    gate.open.set()
    assert not await fits(hasher, stored, "a wrong password")
    assert not await fits(hasher, None, "a wrong password")
    assert gate.calls == ["verify", "verify"]
    parameters = stored.rpartition("$")[0].rpartition("$")[0]
    assert hasher._nobody.startswith(f"{parameters}$"), "the same memory and passes"
    assert len(hasher._nobody) == len(stored)


async def test_a_hash_of_other_parameters_is_made_anew_where_the_password_is_right(
    hasher: PasswordHasher,
) -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(GOOD)
    verified = await hasher.verify(old, GOOD)
    assert verified.renewed is not None
    assert f"$m={MEMORY_KIB},t=1,p=1$" in verified.renewed
    assert await hasher.verify(verified.renewed, GOOD) == Verified(True)
    assert await hasher.verify(old, GOOD + "x") == Verified(False)


# The queue


async def test_one_hash_is_made_at_a_time_and_those_beyond_the_queue_are_turned_away(
    hasher: PasswordHasher,
) -> None:
    gate = Gate(hasher)
    waiting = [asyncio.ensure_future(hasher.hash(GOOD)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhaustedError) as refused:
        await hasher.hash(GOOD)
    assert refused.value.reason is ErrorReason.TOO_MANY_CALLS
    assert refused.value.retry_after_s
    gate.open.set()
    assert len(set(await asyncio.gather(*waiting))) == 3
    assert gate.most_at_once == 1
    assert await fits(hasher, await waiting[0], GOOD), "there is room again"


async def test_one_caller_has_one_place_in_the_queue(hasher: PasswordHasher) -> None:
    gate = Gate(hasher)
    ann, bob = ("acme", "users/ann"), ("acme", "users/bob")
    first = asyncio.ensure_future(hasher.hash(GOOD, ann))
    await asyncio.sleep(0)
    for work in (hasher.hash(GOOD, ann), hasher.verify(None, GOOD, ann)):
        with pytest.raises(ResourceExhaustedError, match="of yours") as refused:
            await work
        assert refused.value.retry_after_s
    other = asyncio.ensure_future(hasher.hash(GOOD, bob))
    gate.open.set()
    await asyncio.gather(first, other)
    assert await hasher.hash(GOOD, ann), "there is room again"


async def test_who_stops_waiting_gives_the_place_in_the_queue_back(hasher: PasswordHasher) -> None:
    gate = Gate(hasher)
    working, waiting, gone = (asyncio.ensure_future(hasher.hash(GOOD)) for _ in range(3))
    assert await asyncio.to_thread(gate.begun.wait, 20)
    gone.cancel()
    working.cancel()
    await asyncio.wait([gone, working])
    later = asyncio.ensure_future(hasher.hash(GOOD))
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhaustedError):
        await hasher.hash(GOOD)  # What has begun keeps its place although its caller is gone.
    gate.open.set()
    await asyncio.gather(waiting, later)
    assert gate.most_at_once == 1
    assert gate.calls.count("hash") == 3, "the one that was cancelled in the queue was not made"
