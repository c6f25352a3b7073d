"""Every real table of the corpus goes through the whole server; skipped where it is absent."""

from __future__ import annotations

import hashlib

from smoothcore.v1 import machine_service_pb2
from tests import corpus
from tests.support.requests import create_machine, push_file
from tests.support.smooth import Caller

pytestmark = corpus.requires_corpus

TABLES = corpus.files("linuxcnc-tbl", "linuxcnc-tbl-history")


def different() -> list[bytes]:
    """The tables, each content once."""
    found = {hashlib.sha256(data := path.read_bytes()).digest(): data for path in TABLES}
    return list(found.values())


async def test_every_real_table_is_taken_and_the_same_again_changes_nothing(
    caller: Caller,
) -> None:
    tables = different()
    assert len(tables) > 300
    rows = 0
    for index, content in enumerate(tables):
        name = f"mill-{index}"
        await caller.machines.CreateMachine(create_machine(name))
        request = push_file(content, f"machines/{name}", accept_large_change=True)
        first = await caller.machines.PushToolTable(request)
        assert first.outcome != machine_service_pb2.PUSH_OUTCOME_HELD
        again = await caller.machines.PushToolTable(request)
        assert again.outcome == machine_service_pb2.PUSH_OUTCOME_UNCHANGED
        assert again.revision == first.revision
        # Rows that are still in doubt are still named.
        assert {each.outcome for each in again.row_results} <= {
            machine_service_pb2.ROW_OUTCOME_UNCHANGED
        }
        rows += again.unchanged_count
    assert rows > 5_000
