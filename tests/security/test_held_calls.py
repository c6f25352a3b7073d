"""Calls that are opened and held: they outlive no right, and take no places of others."""

from __future__ import annotations

import asyncio

import grpc

from smoothcore.v1 import identity_service_pb2, program_service_pb2, tool_service_pb2
from smoothcore_server.app import organizations
from smoothcore_server.transport.interceptors import identity
from tests.support.operator import set_suspended
from tests.support.requests import create_key, refused
from tests.support.smooth import SmoothServer, start_server

Code = grpc.StatusCode
CREATE_KEY = "/smoothcore.v1.IdentityService/CreateApiKey"
UPLOAD = "/smoothcore.v1.ProgramService/UploadProgram"
LOGIN = "/smoothcore.v1.AuthService/Login"


async def test_a_call_that_was_opened_before_its_key_was_revoked_makes_nothing_after(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    made = await admin.identity.CreateApiKey(create_key("apikeys.write", "tools.read"))
    thief = server.caller("")
    # As a client stream it is the same call on the wire: headers now, the message later.
    opened = thief.channel.stream_unary(CREATE_KEY)(
        metadata=(("authorization", f"Bearer {made.secret}"),)
    )
    await asyncio.sleep(identity.PATIENCE_S + 0.1)
    revoke = identity_service_pb2.RevokeApiKeyRequest(name=made.api_key.name)
    await admin.identity.RevokeApiKey(revoke)
    await asyncio.sleep(identity.PATIENCE_S + 0.1)
    await opened.write(create_key("tools.read", display_name="kept").SerializeToString())
    await opened.done_writing()
    await refused(opened, Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    listed = await admin.identity.ListApiKeys(identity_service_pb2.ListApiKeysRequest())
    assert "kept" not in [key.display_name for key in listed.api_keys]


async def test_a_call_that_was_opened_before_its_organization_was_suspended_makes_nothing_after(
    server: SmoothServer,
) -> None:
    acme = server.caller(await server.organization("acme"))
    metadata = (("authorization", f"Bearer {acme.token}"),)
    plain = server.caller("").channel
    opened = plain.stream_unary(CREATE_KEY)(metadata=metadata)
    upload = plain.stream_unary(UPLOAD)(metadata=metadata)
    info = program_service_pb2.ProgramInfo(display_name="kept.nc")
    begun = program_service_pb2.UploadProgramRequest(info=info)
    await upload.write(begun.SerializeToString())
    await asyncio.sleep(0.1)
    await set_suspended(server, "acme", True)
    await asyncio.sleep(organizations.CACHE_S + 0.1)
    await opened.write(create_key("tools.read", display_name="kept").SerializeToString())
    await upload.write(program_service_pb2.UploadProgramRequest(chunk=b"T1 M6").SerializeToString())
    for call in (opened, upload):
        await call.done_writing()
        await refused(call, Code.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED")
    await set_suspended(server, "acme", False)
    await asyncio.sleep(organizations.CACHE_S + 0.1)
    keys = await acme.identity.ListApiKeys(identity_service_pb2.ListApiKeysRequest())
    assert "kept" not in [key.display_name for key in keys.api_keys]
    listed = await acme.programs.ListPrograms(program_service_pb2.ListProgramsRequest())
    assert not listed.programs


async def test_who_has_no_credential_cannot_take_the_places_of_those_who_have(
    tmp_path_factory: object,
) -> None:
    folder = tmp_path_factory.mktemp("held")  # type: ignore[attr-defined]
    server = await start_server(folder / "data", max_calls=64)
    try:
        nobody, admin = server.caller(""), server.caller()
        held = [nobody.channel.stream_unary(LOGIN)() for _ in range(200)]
        await asyncio.sleep(0.5)
        for _ in range(20):
            await admin.tools.ListTools(tool_service_pb2.ListToolsRequest())
        for call in held:
            call.cancel()
    finally:
        await server.stop()
