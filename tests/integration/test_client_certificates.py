"""Gateways that show a certificate: it stands for the API key that has its name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1 import (
    audit_service_pb2,
    auth_service_pb2,
    change_service_pb2,
    identity_service_pb2,
)
from tests.integration.test_operator import smoothd
from tests.support.certificates import Authority, Issued, write_served
from tests.support.operator import set_suspended
from tests.support.prepared import Prepared
from tests.support.requests import create_key, create_machine, push_file, refusal, refused
from tests.support.smooth import Caller, SmoothServer, start_server

Code = grpc.StatusCode
Kind = audit_service_pb2.SecurityEventKind
WHO = auth_service_pb2.WhoAmIRequest()
EDGE_7 = "URI:spiffe://plant/gateway/edge-7"
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"


@dataclass
class Plant:
    """A server with a listener for gateways, and the authority that all of them trust."""

    server: SmoothServer
    authority: Authority
    folder: Path

    def admin(self) -> Caller:
        """At the listener for everybody."""
        return self._caller(self.server.address, None, self.server.admin_key)

    def gateway(self, shown: Issued | None, token: str = "") -> Caller:
        """At the listener for gateways."""
        (address,) = self.server.application.gateway_addresses
        return self._caller(address, shown, token)

    def caller(self, shown: Issued | None, token: str = "") -> Caller:
        """At the listener for everybody, with a certificate."""
        return self._caller(self.server.address, shown, token)

    def _caller(self, address: str, shown: Issued | None, token: str) -> Caller:
        made = Caller(address, token, tls=self.authority.trusted_with(shown))
        self.server.callers.append(made)
        return made

    async def events(self, kind: Kind.ValueType) -> list[audit_service_pb2.SecurityEvent]:
        await self.server.application.security_events.flush()
        request = audit_service_pb2.ListSecurityEventsRequest(kinds=[kind])
        return list((await self.admin().audit.ListSecurityEvents(request)).security_events)


@pytest.fixture
async def plant(tmp_path: Path, prepared_sqlite: Prepared) -> AsyncIterator[Plant]:
    authority = Authority()
    (tmp_path / "clients.crt").write_bytes(authority.pem)
    files = write_served(tmp_path, authority.issue("DNS:localhost", "IP:127.0.0.1"))
    server = await start_server(
        prepared_sqlite.data_for(tmp_path / "data"),
        admin_key=prepared_sqlite.admin_key,
        gateway_listen=["127.0.0.1:0"],
        tls_client_ca=tmp_path / "clients.crt",
        **files,
    )
    yield Plant(server, authority, tmp_path)
    await server.stop()


async def bind(plant: Plant, *names: str, **fields: Any) -> identity_service_pb2.ApiKey:
    permissions = fields.pop("permissions", ["*"])
    request = create_key(*permissions, certificate_names=names, **fields)
    return (await plant.admin().identity.CreateApiKey(request)).api_key


async def who(caller: Caller) -> auth_service_pb2.WhoAmIResponse:
    return await caller.auth.WhoAmI(WHO)


async def not_let_in(caller: Caller) -> None:
    """The handshake fails: no call reaches the server."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.auth.WhoAmI(WHO, timeout=5)
    assert caught.value.code() is Code.UNAVAILABLE


# The handshake


async def test_a_gateway_without_a_certificate_of_the_authority_is_not_let_in(
    plant: Plant,
) -> None:
    await bind(plant, EDGE_7)
    shown = {
        "none": None,
        "another authority": Authority("authority").issue(EDGE_7),
        "expired": plant.authority.issue(EDGE_7, lasts=timedelta(seconds=-1)),
        "for servers": plant.authority.issue(EDGE_7, purpose=SERVER_AUTH),
    }
    for each in shown.values():
        await not_let_in(plant.gateway(each, plant.server.admin_key))
    assert await who(plant.gateway(plant.authority.issue(EDGE_7)))


async def test_elsewhere_no_certificate_is_asked_for_and_one_that_is_shown_counts_for_nothing(
    plant: Plant,
) -> None:
    await bind(plant, EDGE_7)
    caller = plant.caller(plant.authority.issue(EDGE_7))
    await refused(caller.auth.WhoAmI(WHO), Code.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    assert (await who(plant.admin())).display_name == "admin"


async def test_without_a_listener_for_gateways_all_show_certificates(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "clients.crt").write_bytes(authority.pem)
    files = write_served(tmp_path, authority.issue("IP:127.0.0.1"))
    server = await start_server(tmp_path / "data", tls_client_ca=tmp_path / "clients.crt", **files)
    try:
        plant = Plant(server, authority, tmp_path)
        await not_let_in(plant.admin())
        admin = plant.caller(authority.issue("DNS:office"), server.admin_key)
        made = await admin.identity.CreateApiKey(create_key("*", certificate_names=[EDGE_7]))
        seen = await who(plant.caller(authority.issue(EDGE_7)))
        assert seen.principal == made.api_key.name
    finally:
        await server.stop()


# Whom a certificate stands for


async def test_a_certificate_stands_for_the_key_that_has_its_name_with_its_machines(
    plant: Plant,
) -> None:
    admin = plant.admin()
    for machine in ("mill-1", "mill-2"):
        await admin.machines.CreateMachine(create_machine(machine))
    key = await bind(
        plant,
        EDGE_7,
        "DNS:edge-7.plant.example",
        permissions=["tooltable.observe", "machines.read"],
        machines=["machines/mill-1"],
        client="gate",
    )
    assert list(key.certificate_names) == ["DNS:edge-7.plant.example", EDGE_7]
    for name in (EDGE_7, "DNS:Edge-7.plant.example"):
        shown = plant.authority.issue("DNS:other", name)
        gateway = plant.gateway(shown)
        await refused(
            gateway.machines.PushToolTable(push_file(machine="machines/mill-2")),
            Code.PERMISSION_DENIED,
            "PERMISSION_DENIED",
            "mill-2",
        )
        assert (await gateway.machines.PushToolTable(push_file())).content_hash
        seen = await who(gateway)
        assert (seen.principal, seen.client) == (key.name, "gate")
        assert list(seen.machines) == ["machines/mill-1"]
        # It lasts no longer than the certificate.
        assert seen.expire_time.ToDatetime(UTC) < datetime.now(UTC) + timedelta(days=1, hours=1)
        (refusal_, *_) = await plant.events(Kind.SECURITY_EVENT_KIND_PERMISSION_REFUSED)
        assert refusal_.credential == f"certificates/{shown.fingerprint}"
        assert refusal_.actor == key.name


async def test_a_certificate_that_stands_for_nobody_is_told_which_names_were_seen(
    plant: Plant,
) -> None:
    await bind(plant, EDGE_7)
    near = plant.gateway(plant.authority.issue("URI:spiffe://plant/gateway/Edge-7", "DNS:edge-7"))
    await refused(
        near.auth.WhoAmI(WHO),
        Code.UNAUTHENTICATED,
        "CREDENTIAL_MISSING",
        "(DNS:edge-7, URI:spiffe://plant/gateway/Edge-7)",
        "smooth keys create --certificate-name DNS:edge-7",
    )
    for names in ((), ("IP:127.0.0.1",), ("DNS:*.plant.example",)):
        nameless = plant.gateway(plant.authority.issue(*names))
        await refused(
            nameless.auth.WhoAmI(WHO), Code.UNAUTHENTICATED, "CREDENTIAL_MISSING", "without a wild"
        )


async def test_names_of_several_keys_stand_for_none_of_them(plant: Plant) -> None:
    await bind(plant, EDGE_7)
    await bind(plant, "DNS:edge-8")
    both = plant.gateway(plant.authority.issue(EDGE_7, "DNS:edge-8"))
    await refused(both.auth.WhoAmI(WHO), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", "several")


async def test_a_certificate_gets_nobody_into_a_suspended_organization(plant: Plant) -> None:
    token = await plant.server.organization("acme")
    theirs = plant.caller(None, token)
    await theirs.identity.CreateApiKey(create_key("*", certificate_names=[EDGE_7]))
    gateway = plant.gateway(plant.authority.issue(EDGE_7))
    assert (await who(gateway)).organization == "acme"
    await set_suspended(plant.server, "acme", True)
    await asyncio.sleep(1)
    await refused(gateway.auth.WhoAmI(WHO), Code.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED")


# A certificate and a key


async def test_a_stolen_key_does_not_work_behind_the_certificate_of_another(plant: Plant) -> None:
    shown = plant.authority.issue(EDGE_7)
    made = await plant.admin().identity.CreateApiKey(create_key("*", certificate_names=[EDGE_7]))
    assert (await who(plant.gateway(shown, made.secret))).principal == made.api_key.name
    thief = plant.gateway(shown, plant.server.admin_key)
    await refused(thief.auth.WhoAmI(WHO), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", "different")
    (event,) = await plant.events(Kind.SECURITY_EVENT_KIND_CREDENTIAL_REFUSED)
    assert event.actor == (await who(plant.admin())).principal


async def test_a_wrong_key_is_refused_although_the_certificate_stands_for_one(
    plant: Plant,
) -> None:
    await bind(plant, EDGE_7)
    shown = plant.authority.issue(EDGE_7)
    for token in ("sk_" + "0" * 32 + "_x", "nonsense"):
        await refused(
            plant.gateway(shown, token).auth.WhoAmI(WHO),
            Code.UNAUTHENTICATED,
            "CREDENTIAL_INVALID",
        )


async def test_a_key_works_behind_a_certificate_that_stands_for_nobody(plant: Plant) -> None:
    caller = plant.gateway(plant.authority.issue("DNS:office"), plant.server.admin_key)
    assert (await who(caller)).display_name == "admin"


# The end of it


async def test_a_revoked_key_ends_its_certificate_within_a_second_and_its_watch(
    plant: Plant,
) -> None:
    key = await bind(plant, EDGE_7)
    gateway = plant.gateway(plant.authority.issue(EDGE_7))
    watch = gateway.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
    assert await anext(aiter(watch))
    assert (await who(gateway)).principal == key.name
    revoke = identity_service_pb2.RevokeApiKeyRequest(name=key.name)
    await plant.admin().identity.RevokeApiKey(revoke)
    start = time.monotonic()
    assert (await refusal(watch)).code is Code.UNAUTHENTICATED
    await asyncio.sleep(max(0, start + 1 - time.monotonic()))
    await refused(gateway.auth.WhoAmI(WHO), Code.UNAUTHENTICATED, "CREDENTIAL_MISSING", EDGE_7)
    # The name is free again, for the gateway that takes the place of this one.
    assert (await bind(plant, EDGE_7)).name != key.name


async def test_a_connection_that_is_older_than_its_certificate_is_refused(plant: Plant) -> None:
    await bind(plant, EDGE_7)
    gateway = plant.gateway(plant.authority.issue(EDGE_7))
    assert await who(gateway)
    later = datetime.now(UTC) + timedelta(days=2)
    plant.server.application.store.clock = lambda: later
    await refused(gateway.auth.WhoAmI(WHO), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", "expired")


async def test_certificates_and_the_authority_of_clients_change_while_connections_stay(
    plant: Plant,
) -> None:
    await bind(plant, EDGE_7)
    old = plant.gateway(plant.authority.issue(EDGE_7))
    assert await who(old)
    newer = Authority("newer")
    fresh = newer.issue(EDGE_7)
    await not_let_in(plant.gateway(fresh))
    (plant.folder / "clients.crt").write_bytes(newer.pem)
    write_served(plant.folder, newer.issue("IP:127.0.0.1"))
    renewed = Plant(plant.server, newer, plant.folder)
    assert await who(renewed.gateway(fresh))
    assert await who(renewed.admin()), "each listener hears of the new files"
    assert await who(old)
    # What the old authority has issued counts no more.
    await not_let_in(
        Plant(plant.server, newer, plant.folder).gateway(plant.authority.issue(EDGE_7))
    )


async def test_each_listener_serves_a_renewed_certificate(tmp_path: Path) -> None:
    authority, newer = Authority(), Authority("newer")
    files = write_served(tmp_path, authority.issue("IP:127.0.0.1"))
    listen = ["127.0.0.1:0", "127.0.0.1:0"]
    server = await start_server(tmp_path / "data", listen=listen, **files)
    try:
        write_served(tmp_path, newer.issue("IP:127.0.0.1"))
        for address in server.application.addresses:
            caller = Caller(address, server.admin_key, tls=newer.trusted_with())
            server.callers.append(caller)
            assert await who(caller)
    finally:
        await server.stop()


# Names


async def test_a_name_stands_for_one_key_that_works_in_the_whole_instance(
    server_on_each: SmoothServer,
) -> None:
    admin = server_on_each.caller()
    stranger = server_on_each.caller(await server_on_each.organization("acme"))
    request = create_key("tools.read", certificate_names=[EDGE_7, "DNS:edge-7"])
    made = (await admin.identity.CreateApiKey(request)).api_key
    other = create_key("tools.read", certificate_names=["DNS:edge-7"])
    await refused(
        admin.identity.CreateApiKey(other), Code.ALREADY_EXISTS, "RESOURCE_EXISTS", made.name
    )
    seen = await refused(
        stranger.identity.CreateApiKey(other), Code.ALREADY_EXISTS, "RESOURCE_EXISTS", "DNS:edge-7"
    )
    assert made.name not in f"{seen}", "whose name it is in another organization is not told"
    revoke = identity_service_pb2.RevokeApiKeyRequest(name=made.name)
    assert list((await admin.identity.RevokeApiKey(revoke)).certificate_names) == [
        "DNS:edge-7",
        EDGE_7,
    ]
    assert await stranger.identity.CreateApiKey(other)


async def test_of_keys_made_at_once_in_two_organizations_one_gets_the_name(
    server_on_each: SmoothServer,
) -> None:
    tokens = [server_on_each.admin_key, await server_on_each.organization("acme")]
    request = create_key("tools.read", certificate_names=[EDGE_7])
    calls = [server_on_each.caller(token).identity.CreateApiKey(request) for token in tokens * 4]
    results = await asyncio.gather(*calls, return_exceptions=True)
    codes = [each.code() for each in results if isinstance(each, grpc.aio.AioRpcError)]
    assert codes == [Code.ALREADY_EXISTS] * 7


async def test_the_name_of_an_expired_key_is_free(server_on_each: SmoothServer) -> None:
    admin = server_on_each.caller()
    soon = Timestamp()
    soon.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    request = create_key("tools.read", certificate_names=[EDGE_7], expire_time=soon)
    await admin.identity.CreateApiKey(request)
    request = create_key("tools.read", certificate_names=[EDGE_7])
    await refused(admin.identity.CreateApiKey(request), Code.ALREADY_EXISTS, "RESOURCE_EXISTS")
    later = datetime.now(UTC) + timedelta(hours=2)
    server_on_each.application.store.clock = lambda: later
    assert await admin.identity.CreateApiKey(request)


@pytest.mark.parametrize(
    "name",
    [
        "edge-7",
        "DNS:",
        "DNS:*.plant.example",
        "DNS:Edge-7",
        "IP:10.0.0.7",
        "URI:spiffe",
        "URI:a:b c",
    ],
)
async def test_what_is_no_name_is_refused_with_how_to_write_one(caller: Caller, name: str) -> None:
    request = create_key("tools.read", certificate_names=[name])
    await refused(
        caller.identity.CreateApiKey(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", "DNS:"
    )


async def test_a_key_has_at_most_ten_names(caller: Caller) -> None:
    names = [f"DNS:edge-{number}" for number in range(11)]
    await refused(
        caller.identity.CreateApiKey(create_key("tools.read", certificate_names=names)),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "certificate_names",
    )
    assert await caller.identity.CreateApiKey(
        create_key("tools.read", certificate_names=names[:10])
    )


async def test_the_operator_makes_a_key_that_a_certificate_stands_for(plant: Plant) -> None:
    settings = {"data_dir": plant.folder / "data"}
    make = ("keys", "create", "edge-7", "--permission", "tools.read", "--certificate-name")
    for wrong in ("edge-7.plant.example", "DNS:*.plant.example", "DNS:Edge"):
        refused = await asyncio.to_thread(smoothd, settings, *make, wrong)
        assert (refused.returncode, "certificate_names" in refused.stderr) == (2, True)
    made = await asyncio.to_thread(smoothd, settings, *make, EDGE_7)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("sk_")
    seen = await who(plant.gateway(plant.authority.issue(EDGE_7)))
    assert (seen.display_name, list(seen.permissions)) == ("edge-7", ["tools.read"])
    taken = await asyncio.to_thread(smoothd, settings, *make, EDGE_7)
    assert (taken.returncode, "stands for" in taken.stderr) == (2, True)
