"""Sealed secrets: whoever changes or moves one cannot have it opened."""

from __future__ import annotations

import dataclasses

import pytest

from smoothcore_server.store.envelope import Envelope, Place, Sealed, SealedSecretError

KEY = bytes(range(32))
SECRET = b"a webhook's secret"
PLACE = Place("shop", "webhook", "w-1")


@pytest.fixture
def envelope() -> Envelope:
    return Envelope(KEY)


@pytest.fixture
def sealed(envelope: Envelope) -> Sealed:
    return envelope.seal(PLACE, SECRET, 1)


def flipped(raw: bytes, index: int) -> bytes:
    return raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]


@pytest.mark.parametrize("part", ["wrapped_key", "ciphertext"])
def test_no_byte_of_a_sealed_secret_can_be_changed(
    envelope: Envelope, sealed: Sealed, part: str
) -> None:
    raw: bytes = getattr(sealed, part)
    for index in range(len(raw)):
        changed = dataclasses.replace(sealed, **{part: flipped(raw, index)})
        with pytest.raises(SealedSecretError):
            envelope.open(PLACE, changed)


@pytest.mark.parametrize("part", ["wrapped_key", "ciphertext"])
def test_a_secret_that_was_cut_off_is_refused(
    envelope: Envelope, sealed: Sealed, part: str
) -> None:
    raw: bytes = getattr(sealed, part)
    for length in range(len(raw)):
        with pytest.raises(SealedSecretError):
            envelope.open(PLACE, dataclasses.replace(sealed, **{part: raw[:length]}))


@pytest.mark.parametrize(
    "other",
    [
        Place("other", "webhook", "w-1"),
        Place("", "webhook", "w-1"),
        Place("shop", "upstream", "w-1"),
        Place("shop", "webhook", "w-2"),
        Place("shopweb", "hook", "w-1"),
        Place("shop", "webhookw", "-1"),
    ],
)
def test_a_secret_that_was_moved_elsewhere_is_refused(
    envelope: Envelope, sealed: Sealed, other: Place
) -> None:
    with pytest.raises(SealedSecretError, match="cannot be opened"):
        envelope.open(other, sealed)


def test_the_parts_of_two_secrets_cannot_be_mixed(envelope: Envelope, sealed: Sealed) -> None:
    other = envelope.seal(PLACE, b"another secret", 1)
    for mixed in (
        dataclasses.replace(sealed, ciphertext=other.ciphertext),
        dataclasses.replace(sealed, wrapped_key=other.wrapped_key),
        dataclasses.replace(sealed, ciphertext=sealed.wrapped_key),
        dataclasses.replace(sealed, generation=2),
    ):
        with pytest.raises(SealedSecretError):
            envelope.open(PLACE, mixed)


def test_another_root_key_opens_nothing(sealed: Sealed) -> None:
    with pytest.raises(SealedSecretError, match="another root key"):
        Envelope(bytes(32)).open(PLACE, sealed)


def test_what_was_sealed_is_read_back(envelope: Envelope, sealed: Sealed) -> None:
    assert envelope.open(PLACE, sealed) == SECRET
    assert Envelope(KEY).open(PLACE, sealed) == SECRET


def test_sealing_twice_gives_nothing_to_compare(envelope: Envelope, sealed: Sealed) -> None:
    again = envelope.seal(PLACE, SECRET, 1)
    assert again.ciphertext != sealed.ciphertext
    assert again.wrapped_key != sealed.wrapped_key


def test_another_generation_wraps_the_key_and_leaves_the_secret(
    envelope: Envelope, sealed: Sealed
) -> None:
    again = envelope.rewrap(PLACE, sealed, 2)
    assert again.generation == 2
    assert again.ciphertext == sealed.ciphertext
    assert again.wrapped_key != sealed.wrapped_key
    assert envelope.open(PLACE, again) == envelope.open(PLACE, sealed) == SECRET


def test_errors_name_the_place_and_no_secret(envelope: Envelope, sealed: Sealed) -> None:
    with pytest.raises(SealedSecretError) as caught:
        envelope.open(Place("shop", "webhook", "w-2"), sealed)
    assert "webhook w-2" in str(caught.value)
    assert caught.value.__suppress_context__
