"""Tokens of an external issuer: verified by its published keys, worth the roles they map to."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from smoothcore.v1 import change_service_pb2, tool_service_pb2
from smoothcore_server.app import jwk_set
from smoothcore_server.app.jwk_set import JwkSet, JwkSetError
from smoothcore_server.config import ConfigError
from smoothcore_server.store.store import utc_now
from tests.support.logins import add_user, login, who
from tests.support.prepared import Prepared
from tests.support.requests import create_key, create_tool, create_user, refused
from tests.support.smooth import SmoothServer, start_server

Code = grpc.StatusCode
ISSUER = "https://login.example.com/realms/shop"
RSA_KEY = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, Any] = {
    "RS256": RSA_KEY,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def jwk(algorithm: str, key: Any, **more: Any) -> dict[str, Any]:
    """A key as an issuer publishes it; its id is the algorithm."""
    kinds = {"RS": "RSAAlgorithm", "ES": "ECAlgorithm", "Ed": "OKPAlgorithm"}
    kind = getattr(jwt.algorithms, kinds[algorithm[:2]])
    made: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return made | {"kid": algorithm, "use": "sig"} | more


def key_set(*more: dict[str, Any]) -> bytes:
    """The set of all keys."""
    keys = [jwk(algorithm, key) for algorithm, key in KEYS.items()]
    return json.dumps({"keys": [*keys, *more]}).encode()


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token says."""
    now = int(utc_now().timestamp())
    usual = {
        "iss": ISSUER,
        "aud": ["smooth", "account"],
        "sub": "f3b1c2d4",
        "email": "ann@example.com",
        "iat": now,
        "exp": now + 300,
        "realm_access": {"roles": ["shop-engineers", "default-roles"]},
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(algorithm: str = "RS256", **changed: Any) -> str:
    """A token that an issuer has signed."""
    return jwt.encode(claims(**changed), KEYS[algorithm], algorithm, headers={"kid": algorithm})


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    """The file with the issuer's keys."""
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set())
    return path


def settings(jwks: str, **more: Any) -> dict[str, Any]:
    return {
        "oidc_issuer": ISSUER,
        "oidc_audience": "smooth",
        "oidc_jwks": jwks,
        "oidc_role_claim": "realm_access.roles",
        "oidc_role_map": {"shop-engineers": "engineer", "shop-guests": "viewer"},
        **more,
    }


@pytest.fixture
async def oidc(
    tmp_path: Path, prepared_sqlite: Prepared, jwks: Path
) -> AsyncIterator[SmoothServer]:
    """A server that trusts the issuer."""
    data_dir = prepared_sqlite.data_for(tmp_path / "data")
    started = await start_server(
        data_dir, admin_key=prepared_sqlite.admin_key, **settings(str(jwks))
    )
    yield started
    await started.stop()


async def is_refused(server: SmoothServer, credential: str) -> None:
    seen = await refused(
        server.caller(credential).auth.WhoAmI(who()), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    )
    assert "ann@example.com" not in seen.wire


# Refusals


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://login.example.com/realms/other"},
        {"iss": f"{ISSUER}/"},
        {"aud": "another"},
        {"aud": ["account"]},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"exp": None},
        {"exp": 1_700_000_000},
        {"exp": "never"},
        {"nbf": 32_503_680_000},
        {"iat": 32_503_680_000},
    ],
)
async def test_a_token_with_a_claim_that_is_not_right_is_refused(
    oidc: SmoothServer, changed: dict[str, Any]
) -> None:
    await is_refused(oidc, token(**changed))


@pytest.mark.parametrize("algorithm", sorted(KEYS))
async def test_a_token_of_another_key_is_refused(oidc: SmoothServer, algorithm: str) -> None:
    others = {
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    forged = jwt.encode(claims(), others[algorithm], algorithm, headers={"kid": algorithm})
    await is_refused(oidc, forged)


async def test_the_algorithm_is_that_of_the_key_and_never_that_of_the_token(
    oidc: SmoothServer,
) -> None:
    for algorithm in ("RS384", "RS512", "PS256"):
        await is_refused(oidc, jwt.encode(claims(), RSA_KEY, algorithm, headers={"kid": "RS256"}))
    # Signed by the right key, under the name of another.
    await is_refused(oidc, jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "ES256"}))
    await is_refused(oidc, jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "unknown"}))
    await is_refused(oidc, jwt.encode(claims(), RSA_KEY, "RS256"))


async def test_the_public_key_is_no_shared_secret_and_none_is_no_signature(
    oidc: SmoothServer,
) -> None:
    public = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = ".".join(
        encoded(part) for part in ({"alg": "HS256", "kid": "RS256", "typ": "JWT"}, claims())
    )
    mac = (
        base64.urlsafe_b64encode(hmac.digest(public, body.encode(), "sha256")).decode().rstrip("=")
    )
    await is_refused(oidc, f"{body}.{mac}")
    unsigned = ".".join(encoded(part) for part in ({"alg": "none", "kid": "RS256"}, claims()))
    await is_refused(oidc, f"{unsigned}.AAAA")


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


async def test_a_token_of_the_issuer_is_none_of_ours_and_the_other_way_round(
    oidc: SmoothServer,
) -> None:
    """The issuer cannot make access tokens of ours, nor does our key make tokens of theirs."""
    tokens = oidc.application.access_tokens
    claimed = claims(iss=tokens.issuer, aud="smooth-core", org="default", sid="s-1")
    key_id, key = await oidc.application.signing_keys.current()
    headers = {"kid": "EdDSA", "typ": "at+jwt"}
    await is_refused(oidc, jwt.encode(claimed, KEYS["EdDSA"], "EdDSA", headers=headers))
    await is_refused(oidc, jwt.encode(claims(), key, "EdDSA", headers={"kid": key_id}))


async def test_without_an_issuer_no_token_of_one_is_accepted(server: SmoothServer) -> None:
    await is_refused(server, token())


async def test_no_user_of_ours_can_have_the_name_of_one_of_theirs(oidc: SmoothServer) -> None:
    name = (await oidc.caller(token()).auth.WhoAmI(who())).principal
    await refused(
        oidc.caller().identity.CreateUser(create_user(name.removeprefix("users/"))),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "another issuer",
    )


async def test_who_has_no_role_may_do_nothing(oidc: SmoothServer) -> None:
    for roles in ({"roles": ["other"]}, {"roles": []}, {}, {"roles": 7}, {"roles": [["x"], None]}):
        guest = oidc.caller(token(realm_access=roles))
        assert not (await guest.auth.WhoAmI(who())).permissions
        await refused(
            guest.tools.ListTools(tool_service_pb2.ListToolsRequest()),
            Code.PERMISSION_DENIED,
            "PERMISSION_DENIED",
        )


# What works


@pytest.mark.parametrize("algorithm", sorted(KEYS))
async def test_a_token_is_worth_the_roles_it_maps_to(oidc: SmoothServer, algorithm: str) -> None:
    them = oidc.caller(token(algorithm))
    seen = await them.auth.WhoAmI(who())
    assert list(seen.roles) == ["roles/engineer"]
    assert seen.organization == "default"
    made = await them.tools.CreateTool(create_tool())
    assert made.name
    await refused(
        them.identity.CreateApiKey(create_key("tools.read")),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )


async def test_a_person_keeps_their_name_and_it_says_nothing_about_them(
    oidc: SmoothServer,
) -> None:
    names = []
    for changed in ({}, {"email": "ann@elsewhere.example"}, {"sub": "another"}):
        seen = await oidc.caller(token(**changed)).auth.WhoAmI(who())
        names.append(seen.principal)
        assert "ann" not in str(seen)
    assert names[0] == names[1] != names[2]
    assert all(name.startswith("users/oidc-") for name in names)


async def test_changes_are_by_their_name_and_the_log_holds_no_address(
    oidc: SmoothServer, capsys: pytest.CaptureFixture[str]
) -> None:
    them = oidc.caller(token())
    await them.tools.CreateTool(create_tool())
    name = (await them.auth.WhoAmI(who())).principal
    page = await oidc.caller().changes.ListChanges(change_service_pb2.ListChangesRequest())
    assert page.change_sets[-1].actor == name
    printed = capsys.readouterr()
    assert name in printed.out + printed.err
    assert "ann@example.com" not in printed.out + printed.err
    assert token() not in printed.out + printed.err


async def test_a_token_ends_when_it_says_and_its_watch_with_it(oidc: SmoothServer) -> None:
    them = oidc.caller(token())
    call = them.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
    await call.read()
    later = utc_now() + timedelta(minutes=6)
    oidc.application.store.clock = lambda: later
    await oidc.caller().tools.CreateTool(create_tool())
    await refused(call, Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    await refused(them.auth.WhoAmI(who()), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")


async def test_keys_and_users_of_ours_work_beside_it(oidc: SmoothServer) -> None:
    await add_user(oidc.caller(), "ann")
    session = await oidc.caller("").auth.Login(login("ann"))
    assert (await oidc.caller(session.access_token).auth.WhoAmI(who())).principal == "users/ann"


async def test_they_belong_to_the_organization_that_is_configured(
    tmp_path: Path, jwks: Path
) -> None:
    configured = settings(str(jwks), oidc_organization="acme-inc")
    server = await start_server(tmp_path / "other", **configured)
    await server.organization("acme-inc")
    them = server.caller(token())
    assert (await them.auth.WhoAmI(who())).organization == "acme-inc"
    await server.stop()


# The keys


async def test_a_new_key_of_the_issuer_is_found(
    oidc: SmoothServer, jwks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = ed25519.Ed25519PrivateKey.generate()
    made = jwt.encode(claims(), fresh, "EdDSA", headers={"kid": "fresh"})
    publish(jwks, jwk("EdDSA", fresh, kid="fresh"))
    await is_refused(oidc, made)  # It was read less than a minute ago.
    monkeypatch.setattr(jwk_set, "RELOAD_S", 0)
    assert (await oidc.caller(made).auth.WhoAmI(who())).principal


def publish(jwks: Path, *more: dict[str, Any]) -> None:
    jwks.write_bytes(key_set(*more))


async def test_a_key_that_the_issuer_has_taken_out_ends_the_tokens_that_it_signed(
    oidc: SmoothServer, jwks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen = ed25519.Ed25519PrivateKey.generate()
    publish(jwks, jwk("EdDSA", stolen, kid="stolen"))
    monkeypatch.setattr(jwk_set, "RELOAD_S", 0)
    forged = jwt.encode(claims(), stolen, "EdDSA", headers={"kid": "stolen"})
    assert (await oidc.caller(forged).auth.WhoAmI(who())).principal
    publish(jwks)
    monkeypatch.setattr(jwk_set, "FRESH_S", 0)
    await is_refused(oidc, forged)


async def test_unknown_keys_do_not_have_the_set_read_again_and_again(
    oidc: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    monkeypatch.setattr(jwk_set, "_read", reads.append)
    for number in range(20):
        headers = {"kid": f"unknown-{number}"}
        await is_refused(oidc, jwt.encode(claims(), RSA_KEY, "RS256", headers=headers))
    assert not reads


@pytest.mark.parametrize(
    "unusable",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
        jwk("RS256", RSA_KEY, kid="x", use="enc"),
        jwk("RS256", RSA_KEY, kid="x", alg="HS256"),
        jwk("RS256", RSA_KEY, kid="x", alg="RS512"),
        jwk("RS256", RSA_KEY, kid=""),
        jwk("RS256", rsa.generate_private_key(65537, 1024), kid="x"),
        jwk("ES256", ec.generate_private_key(ec.SECP384R1()), kid="x"),
        jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True) | {"kid": "x"},
        {"kty": "RSA", "kid": "x", "n": "AQAB"},
        {"kid": "x"},
    ],
)
def test_a_key_that_must_not_verify_is_left_out(unusable: dict[str, Any]) -> None:
    assert set(jwk_set.parse(key_set(unusable))) == set(KEYS)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"keys": 7}', b"[" * 100_000, b"\xff"])
def test_what_is_no_key_set_is_an_error_that_says_so(raw: bytes) -> None:
    with pytest.raises(JwkSetError, match="no JSON Web Key Set"):
        jwk_set.parse(raw)


# A URL


class Issuer:
    """A web server that publishes keys."""

    def __init__(self) -> None:
        self.body, self.status, self.location = key_set(), 200, ""
        self.asked = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(issuer.status)
                if issuer.location:
                    self.send_header("Location", issuer.location)
                self.end_headers()
                self.wfile.write(issuer.body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/jwks"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    started = Issuer()
    yield started
    started.stop()


async def test_keys_are_read_from_a_url(tmp_path: Path, issuer: Issuer) -> None:
    server = await start_server(tmp_path / "data", **settings(issuer.url))
    for algorithm in KEYS:
        assert (await server.caller(token(algorithm)).auth.WhoAmI(who())).principal
    assert issuer.asked == 1
    await server.stop()


async def test_an_issuer_that_is_down_keeps_nobody_else_out(tmp_path: Path) -> None:
    server = await start_server(tmp_path / "data", **settings("http://127.0.0.1:1/jwks"))
    await server.caller().auth.WhoAmI(who())
    await is_refused(server, token())
    await server.stop()


async def test_keys_that_are_known_work_while_the_issuer_is_down(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = JwkSet(issuer.url)
    await keys.load()
    issuer.status = 503
    monkeypatch.setattr(jwk_set, "FRESH_S", 0)
    monkeypatch.setattr(jwk_set, "RELOAD_S", 0)
    assert await keys.find("RS256")
    assert await keys.find("unknown") is None
    assert issuer.asked == 3


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
async def test_a_redirect_or_an_error_gives_no_keys(issuer: Issuer, status: int) -> None:
    other = Issuer()
    issuer.status, issuer.location = status, other.url
    with pytest.raises(JwkSetError):
        await JwkSet(issuer.url).load()
    assert not other.asked
    other.stop()


async def test_a_huge_set_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    issuer.body = b" " * (jwk_set.MAX_BYTES + 1)
    with pytest.raises(JwkSetError, match="larger than"):
        await JwkSet(issuer.url).load()
    (tmp_path / "huge.json").write_bytes(issuer.body)
    with pytest.raises(JwkSetError, match="larger than"):
        await JwkSet(str(tmp_path / "huge.json")).load()


@pytest.mark.parametrize(
    "source",
    [
        "http://login.example.com/jwks",
        "http://127.0.0.1.example.com/jwks",
        "http://10.0.0.4/jwks",
        "ftp://127.0.0.1/jwks",
        "file:///etc/passwd",
    ],
)
async def test_keys_are_never_taken_from_where_others_could_replace_them(
    tmp_path: Path, source: str
) -> None:
    with pytest.raises(ConfigError, match="https URL"):
        await start_server(tmp_path / "data", **settings(source))


async def test_a_file_that_is_not_there_fails_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="oidc_jwks"):
        await start_server(tmp_path / "data", **settings(str(tmp_path / "absent.json")))
