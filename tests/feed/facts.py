"""Change sets without a server, for tests of single parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from smoothcore_server.domain.change import (
    Change,
    ChangeKind,
    ChangeSet,
    ChangeSetHeader,
    ResourceType,
)

ORGANIZATION = "default"
START = datetime(2026, 1, 1, tzinfo=UTC)


def tool_change(ordinal: int = 0, name: str = "tools/t", size: int = 10) -> Change:
    """A new tool whose image has a size."""
    return Change(
        ordinal=ordinal,
        type=ResourceType.TOOL,
        name=name,
        machine_id="",
        kind=ChangeKind.CREATED,
        before=None,
        after=b"x" * size,
    )


def change_set(revision: int, *changes: Change) -> ChangeSet:
    """A change set; of one tool unless stated."""
    changes = changes or (tool_change(name=f"tools/t{revision}"),)
    header = ChangeSetHeader(
        organization=ORGANIZATION,
        revision=revision,
        id=f"id-{revision}",
        time=START + timedelta(seconds=revision),
        actor="apiKeys/a",
        client="",
        method="ToolService.CreateTool",
        request_id="",
        change_count=len(changes),
        digest=b"d" * 32,
        chain_hash=chain(revision),
    )
    return ChangeSet(header, changes)


def chain(revision: int) -> bytes:
    """The chain hash of a revision."""
    return revision.to_bytes(8, "little") * 4
