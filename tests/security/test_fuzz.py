"""Whatever is sent, no call fails for the server's part, and nobody sees what is another's.

`make fuzz` runs for long: ``FUZZ_CALLS`` says how many calls, ``FUZZ_SEED`` which.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from smoothcore.v1 import audit_service_pb2
from tests.security.fuzz.fuzzer import Fuzzer, open_fuzzer
from tests.security.fuzz.strategies import Call, calls
from tests.support.requests import head, methods

CALLS = int(os.environ.get("FUZZ_CALLS", "1500"))
SEED = int(os.environ.get("FUZZ_SEED", "5"))
AT_ONCE = 10
SLOW = {"AuthService.Login"}
"""It hashes a password each time, on purpose."""
NAMES = sorted(set(methods()) - SLOW)


@pytest.fixture(scope="module")
async def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fuzzer]:
    """Shared by all examples."""
    opened = await open_fuzzer(tmp_path_factory.mktemp("fuzz"))
    yield opened
    await opened.server.stop()


@seed(SEED)
@settings(
    max_examples=max(1, CALLS // AT_ONCE),
    deadline=None,
    database=None,
    # What an example meets is what those before it have left: nothing would be smaller.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(some=st.lists(calls(NAMES), min_size=AT_ONCE, max_size=AT_ONCE))
@pytest.mark.timeout(3600)
async def test_no_request_makes_the_server_fail_or_shows_what_is_anothers(
    fuzzer: Fuzzer, some: list[Call]
) -> None:
    before = await head(fuzzer.stranger)
    await fuzzer.call(some[0])
    await asyncio.gather(*[fuzzer.call(call) for call in some[1:]])
    assert await head(fuzzer.stranger) == before


async def test_the_server_is_well_afterwards(fuzzer: Fuzzer) -> None:
    """Runs behind the other: healthy, all connections back, and a log that verifies."""
    assert fuzzer.made >= CALLS // AT_ONCE * AT_ONCE
    assert fuzzer.seen["OK"] > fuzzer.made // 20, fuzzer.seen
    assert fuzzer.seen["INVALID_ARGUMENT"] > fuzzer.made // 10, fuzzer.seen
    assert fuzzer.server.application.store.engine.checked_out() == 0
    async with grpc.aio.insecure_channel(fuzzer.server.address) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    for caller in (fuzzer.caller, fuzzer.stranger):
        chain = await caller.audit.VerifyAuditChain(audit_service_pb2.VerifyAuditChainRequest())
        assert (chain.complete, chain.HasField("finding")) == (True, False)
