"""Access tokens, and everything that is tried with them."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from smoothcore_server.app.access_token import AccessClaims, AccessTokens
from smoothcore_server.app.json_web_token import TokenError
from smoothcore_server.app.signing_keys import SigningKeys
from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.signing_key import SigningKeyState
from smoothcore_server.store import instance, signing_key_table
from smoothcore_server.store.store import Store, utc_now
from tests.contract.conftest import Open

LIFETIME = timedelta(minutes=10)
HOUR = timedelta(hours=1)
Forge = Callable[..., str]


class Clock:
    """The store's clock, which tests move."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> Any:
        return self.now


@pytest.fixture(params=["sqlite"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Tokens are the same on both engines; the keys behind them are tested on both elsewhere."""
    name: str = request.param
    return name


@pytest.fixture
def clock(store: Store) -> Clock:
    store.clock = Clock()
    return store.clock


async def tokens_of(database: Database) -> AccessTokens:
    timeline = await database.store.run_read(instance.timeline)
    assert timeline
    return AccessTokens(
        database.store, SigningKeys(database.store, database.envelope), timeline, LIFETIME
    )


@pytest.fixture
async def tokens(database: Database, clock: Clock) -> AccessTokens:
    return await tokens_of(database)


@pytest.fixture
async def signer(database: Database) -> tuple[str, Ed25519PrivateKey]:
    return await SigningKeys(database.store, database.envelope).current()


@pytest.fixture
def claims(tokens: AccessTokens, clock: Clock) -> dict[str, Any]:
    """The claims of a good token."""
    now = int(clock.now.timestamp())
    return {
        "iss": tokens.issuer,
        "aud": "smooth-core",
        "sub": "users/u-1",
        "org": "default",
        "sid": "s-1",
        "jti": "j-1",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }


@pytest.fixture
def forge(signer: tuple[str, Ed25519PrivateKey]) -> Iterator[Forge]:
    """Signs any claims and header with the true key."""

    def sign(claims: Any, header: dict[str, Any] | str | None = None, key: Any = None) -> str:
        usual = {"alg": "EdDSA", "kid": signer[0], "typ": "at+jwt"}
        head = header if isinstance(header, str) else json.dumps(usual | (header or {}))
        body = claims if isinstance(claims, str) else json.dumps(claims)
        signed = f"{encoded(head.encode())}.{encoded(body.encode())}"
        return f"{signed}.{encoded((key or signer[1]).sign(signed.encode()))}"

    return sign


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def why(tokens: AccessTokens, token: str) -> str:
    """Why a token is refused; fails when it is not, also when it is shown again."""
    with pytest.raises(TokenError) as first:
        await tokens.verify(token)
    with pytest.raises(TokenError):
        await tokens.verify(token)
    return str(first.value)


# What is refused


async def test_a_token_without_a_signature_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], signer: tuple[str, Ed25519PrivateKey]
) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        header = {"alg": algorithm, "kid": signer[0], "typ": "at+jwt"}
        body = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
        assert "three parts" in await why(tokens, body + ".")
        assert "no access token" in await why(tokens, body + ".AAAA")
    unsigned = jwt.encode(claims, "", "none", headers={"kid": signer[0], "typ": "at+jwt"})
    assert "three parts" in await why(tokens, unsigned)


async def test_the_public_key_is_no_shared_secret(
    tokens: AccessTokens, claims: dict[str, Any], signer: tuple[str, Ed25519PrivateKey]
) -> None:
    public = signer[1].public_key()
    forms = [
        public.public_bytes_raw(),
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    ]
    for algorithm in ("HS256", "EdDSA"):
        header = {"alg": algorithm, "kid": signer[0], "typ": "at+jwt"}
        body = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
        for form in forms:
            mac = encoded(hmac.digest(form, body.encode(), "sha256"))
            await why(tokens, f"{body}.{mac}")


async def test_a_token_of_another_algorithm_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], signer: tuple[str, Ed25519PrivateKey]
) -> None:
    key = generate_private_key(65537, 2048)
    for algorithm in ("RS256", "PS256"):
        headers = {"kid": signer[0], "typ": "at+jwt"}
        token = jwt.encode(claims, key, algorithm, headers=headers)
        assert "no access token" in await why(tokens, token)


@pytest.mark.parametrize("kid", ["unknown", "", 7, None, ["a"], {"a": 1}, "k" * 2_000])
async def test_a_token_of_an_unknown_key_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, kid: Any
) -> None:
    await why(tokens, forge(claims, {"kid": kid}))


async def test_a_token_that_names_another_key_than_it_is_signed_with_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, database: Database
) -> None:
    keys = await database.store.run_read(
        lambda connection: signing_key_table.signing_keys(connection, database.envelope)
    )
    following = next(key for key in keys if key.state is SigningKeyState.NEXT)
    assert "not signed" in await why(tokens, forge(claims, {"kid": following.id}))
    assert "not signed" in await why(tokens, forge(claims, key=Ed25519PrivateKey.generate()))


async def test_a_token_cannot_bring_its_own_key(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge
) -> None:
    own = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": encoded(own.public_key().public_bytes_raw())}
    for header in ({"jwk": jwk}, {"jku": "https://evil.example/keys"}, {"x5u": "https://evil"}):
        assert "not signed" in await why(tokens, forge(claims, header, own))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", "another"),
        ("aud", ["another"]),
        ("aud", []),
        ("aud", None),
        ("aud", "smooth"),
        ("aud", {"smooth-core": 1}),
        ("iss", "urn:smooth-core:"),
        ("iss", "https://issuer.example"),
        ("iss", None),
        ("sub", ""),
        ("sub", 7),
        ("org", None),
        ("sid", ["s-1"]),
        ("exp", "later"),
        ("exp", None),
        ("exp", True),
        ("exp", 10**30),
        ("exp", -(10**30)),
    ],
)
async def test_a_claim_that_is_not_as_it_should_be_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, name: str, value: Any
) -> None:
    await why(tokens, forge(claims | {name: value}))


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "org", "sid", "jti", "iat", "nbf", "exp"])
async def test_no_claim_may_be_missing(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, name: str
) -> None:
    del claims[name]
    await why(tokens, forge(claims))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
async def test_a_time_that_is_no_moment_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, number: str
) -> None:
    body = json.dumps(claims | {"exp": "TIME"}).replace('"TIME"', number)
    assert "no time" in await why(tokens, forge(body))


async def test_a_token_is_refused_from_the_second_it_expires(
    tokens: AccessTokens, clock: Clock
) -> None:
    token, expires = await tokens.issue("default", "users/u-1", "s-1", clock.now + HOUR)
    clock.now = expires - timedelta(microseconds=1)
    await tokens.verify(token)  # Now it is in the cache, too.
    clock.now = expires
    assert await why(tokens, token) == "expired"


async def test_a_token_of_the_future_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge
) -> None:
    for name in ("nbf", "iat"):
        assert "future" in await why(tokens, forge(claims | {name: claims[name] + 7}))
        assert await tokens.verify(forge(claims | {name: claims[name] + 3}))


async def test_a_token_that_was_cut_off_or_added_to_is_refused(tokens: AccessTokens) -> None:
    token, _ = await tokens.issue("default", "users/u-1", "s-1", utc_now() + HOUR)
    for length in range(len(token)):
        with pytest.raises(TokenError):
            await tokens.verify(token[:length])
    for more in (token + "A", token + ".", "." + token, token + "\n", token + "=", token + " "):
        await why(tokens, more)


async def test_a_token_with_a_changed_letter_is_refused(tokens: AccessTokens) -> None:
    token, _ = await tokens.issue("default", "users/u-1", "s-1", utc_now() + HOUR)
    for index, letter in enumerate(token[:-1]):  # The last one has bits that mean nothing.
        other = "A" if letter != "A" else "B"
        with pytest.raises(TokenError):
            await tokens.verify(token[:index] + other + token[index + 1 :])


async def test_a_huge_token_is_refused_before_it_is_read(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = forge(claims | {"more": "x" * 4_096})
    monkeypatch.setattr(json, "loads", None)
    assert await why(tokens, token) == "too long"


@pytest.mark.parametrize("name", ["kid", "alg", "typ"])
async def test_a_header_that_says_a_thing_twice_is_refused(
    tokens: AccessTokens,
    claims: dict[str, Any],
    forge: Forge,
    signer: tuple[str, Ed25519PrivateKey],
    name: str,
) -> None:
    good = {"alg": "EdDSA", "kid": signer[0], "typ": "at+jwt"}
    twice = json.dumps(good)[:-1] + f', "{name}": {json.dumps(good[name])}}}'
    assert "twice" in await why(tokens, forge(claims, twice))


@pytest.mark.parametrize("name", ["sub", "org", "exp", "aud"])
async def test_claims_that_say_a_thing_twice_are_refused(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, name: str
) -> None:
    twice = json.dumps(claims)[:-1] + f', "{name}": {json.dumps(claims[name])}}}'
    assert "twice" in await why(tokens, forge(twice))


@pytest.mark.parametrize("body", ["[]", "7", "null", '"text"', "{", "[" * 2_000, "\ud800", ""])
async def test_what_is_no_object_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, body: str
) -> None:
    raw = body.encode(errors="surrogatepass")
    head, _, signature = forge(claims).split(".")
    await why(tokens, f"{head}.{encoded(raw)}.{signature}")
    await why(tokens, f"{encoded(raw)}.{encoded(json.dumps(claims).encode())}.{signature}")


async def test_a_token_that_asks_for_extensions_is_refused(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge
) -> None:
    assert "extensions" in await why(tokens, forge(claims, {"crit": ["b64"], "b64": False}))


@pytest.mark.parametrize("typ", ["JWT", "", None, "logout+jwt"])
async def test_a_signed_token_of_another_kind_is_no_access_token(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, typ: Any
) -> None:
    assert "no access token" in await why(tokens, forge(claims, {"typ": typ}))


async def test_a_token_of_another_instance_is_refused(
    tokens: AccessTokens, database: Database, open_database: Open
) -> None:
    """One that was restored from the same backup has the same keys, and another timeline."""
    keys = SigningKeys(database.store, database.envelope)
    elsewhere = AccessTokens(database.store, keys, "another-timeline", LIFETIME)
    token, _ = await elsewhere.issue("default", "users/u-1", "s-1", utc_now() + HOUR)
    assert await elsewhere.verify(token)
    assert "another issuer" in await why(tokens, token)


# Keys


async def test_what_a_retired_key_has_signed_stays_valid_until_it_expires(
    tokens: AccessTokens, clock: Clock, database: Database
) -> None:
    token, expires = await tokens.issue("default", "users/u-1", "s-1", clock.now + HOUR)
    before = jwt.get_unverified_header(token)["kid"]
    current = await database.rotate_signing_keys(revoke=False)
    fresh = await tokens_of(database)
    assert await fresh.verify(token)
    renewed, _ = await fresh.issue("default", "users/u-1", "s-1", clock.now + HOUR)
    assert jwt.get_unverified_header(renewed)["kid"] == current != before
    clock.now = expires - timedelta(seconds=1)
    assert await fresh.verify(token)


async def test_a_revoked_key_ends_what_it_has_signed_also_where_that_is_known(
    tokens: AccessTokens, clock: Clock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, _ = await tokens.issue("default", "users/u-1", "s-1", clock.now + HOUR)
    assert await tokens.verify(token)
    await database.rotate_signing_keys(revoke=True)
    monkeypatch.setattr("smoothcore_server.app.signing_keys.FRESH_S", 0)
    assert await why(tokens, token) == "the key is not accepted any more"


async def test_no_token_is_signed_with_a_key_that_was_revoked_a_moment_ago(
    tokens: AccessTokens, clock: Clock, open_database: Open
) -> None:
    replica = await open_database()
    on_replica = await tokens_of(replica)
    old, _ = await on_replica.issue("default", "users/u-1", "s-1", clock.now + HOUR)
    assert await tokens.verify(old)
    current = await replica.rotate_signing_keys(revoke=True)
    clock.now = utc_now()
    for each in (tokens, on_replica):
        token, _ = await each.issue("default", "users/u-1", "s-1", clock.now + HOUR)
        assert jwt.get_unverified_header(token)["kid"] == current
        assert await tokens.verify(token)
        assert await on_replica.verify(token)
    begun = time.monotonic()
    while await accepts(tokens, old) or await accepts(on_replica, old):
        assert time.monotonic() - begun < 1
        await asyncio.sleep(0.05)


async def accepts(tokens: AccessTokens, token: str) -> bool:
    try:
        await tokens.verify(token)
    except TokenError:
        return False
    return True


async def test_a_retired_key_is_removed_with_its_private_half(
    tokens: AccessTokens, clock: Clock, database: Database
) -> None:
    def kept() -> Callable[[Any], list[str]]:
        return lambda connection: [
            key.id for key in signing_key_table.signing_keys(connection, database.envelope)
        ]

    before = await database.store.run_read(kept())
    await database.rotate_signing_keys(revoke=False)
    assert set(before) < set(await database.store.run_read(kept()))
    clock.now += LIFETIME + timedelta(minutes=2)
    removed = await database.store.run_write(
        lambda connection: signing_key_table.remove_expired(connection, clock.now)
    )
    after = await database.store.run_read(kept())
    assert removed == 1
    assert before[0] not in after
    assert len(after) == 2


async def test_a_key_that_another_replica_made_is_found(
    tokens: AccessTokens, clock: Clock, open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await tokens.issue("default", "users/u-1", "s-1", clock.now + HOUR)
    replica = await open_database()
    # Twice: the first one's successor is known here already.
    await replica.rotate_signing_keys(revoke=False)
    await replica.rotate_signing_keys(revoke=False)
    token, _ = await (await tokens_of(replica)).issue(
        "default", "users/u-1", "s-1", utc_now() + HOUR
    )
    monkeypatch.setattr("smoothcore_server.app.signing_keys.FRESH_S", 0)
    assert await tokens.verify(token)


async def test_unknown_keys_do_not_have_the_database_read_again_and_again(
    tokens: AccessTokens, claims: dict[str, Any], forge: Forge, store: Store
) -> None:
    reads = 0
    read = store.engine.read

    def counted(body: Any) -> Any:
        nonlocal reads
        reads += 1
        return read(body)

    store.engine.read = counted  # type: ignore[method-assign]
    for number in range(200):
        await why(tokens, forge(claims, {"kid": f"unknown-{number}"}))
    assert reads <= 3


# What works


async def test_a_token_says_who_and_which_session(tokens: AccessTokens, clock: Clock) -> None:
    token, expires = await tokens.issue("default", "users/u-1", "s-1", clock.now + HOUR)
    wanted = AccessClaims("default", "users/u-1", "s-1", expires)
    assert await tokens.verify(token) == wanted
    assert await tokens.verify(token) == wanted
    assert timedelta(0) <= clock.now + LIFETIME - expires < timedelta(seconds=1)
    assert len(token) < 700


async def test_a_token_does_not_outlive_its_session(tokens: AccessTokens, clock: Clock) -> None:
    end = clock.now + timedelta(seconds=90)
    _, expires = await tokens.issue("default", "users/u-1", "s-1", end)
    assert end - timedelta(seconds=1) < expires <= end


async def test_no_two_tokens_are_alike(tokens: AccessTokens, clock: Clock) -> None:
    made = {(await tokens.issue("default", "users/u", "s", clock.now + HOUR))[0] for _ in range(9)}
    assert len(made) == 9


async def test_other_services_can_verify_a_token_with_the_public_key(
    tokens: AccessTokens, database: Database
) -> None:
    token, _ = await tokens.issue("default", "users/u-1", "s-1", utc_now() + HOUR)
    keys = await SigningKeys(database.store, database.envelope).accepted()
    kid = jwt.get_unverified_header(token)["kid"]
    public = next(key.public_key for key in keys if key.id == kid)
    found = jwt.decode(
        token,
        Ed25519PublicKey.from_public_bytes(public),
        algorithms=["EdDSA"],
        audience="smooth-core",
        issuer=tokens.issuer,
    )
    assert found["sub"] == "users/u-1"
