"""Kept messages: bounded, found only under the very version, put together as protobuf would."""

from __future__ import annotations

from collections.abc import Sequence

from smoothcore.v1 import tool_pb2, tool_service_pb2
from smoothcore_server.api.kept_messages import (
    MAX_MESSAGE_BYTES,
    OVERHEAD_BYTES,
    KeptMessages,
    Key,
)
from smoothcore_server.api.raw_messages import repeated


def key(tool: str, organization: str = "default", revision: int = 1) -> Key:
    return (organization, "TOOL", (tool, f"uid-{tool}", revision, "2026-01-01"))


def found(kept: KeptMessages, *tools: str) -> Sequence[bytes | None]:
    return kept.find([key(tool) for tool in tools])


def test_another_organization_or_revision_finds_nothing() -> None:
    kept = KeptMessages()
    kept.keep({key("t1"): b"one"})
    assert kept.find([key("t1"), key("t1", "acme"), key("t1", revision=2)]) == [b"one", None, None]


def test_what_was_not_asked_for_longest_goes_first() -> None:
    kept = KeptMessages(max_bytes=3 * (100 + OVERHEAD_BYTES))
    kept.keep({key(tool): tool.encode() * 50 for tool in ("t1", "t2", "t3")})
    assert found(kept, "t1") == [b"t1" * 50]
    kept.keep({key("t4"): b"t4" * 50})
    assert found(kept, "t1", "t2", "t3", "t4") == [b"t1" * 50, None, b"t3" * 50, b"t4" * 50]


def test_keeping_the_same_again_takes_no_more_room() -> None:
    kept = KeptMessages(max_bytes=2 * (100 + OVERHEAD_BYTES))
    for _ in range(10):
        kept.keep({key("t1"): b"1" * 100})
    kept.keep({key("t2"): b"2" * 100})
    assert len(kept) == 2


def test_a_large_message_pushes_nothing_out() -> None:
    kept = KeptMessages()
    kept.keep({key("t1"): b"1", key("t2"): b"2" * (MAX_MESSAGE_BYTES + 1)})
    assert found(kept, "t1", "t2") == [b"1", None]


def test_a_list_of_serialized_messages_reads_as_if_it_were_made_of_messages() -> None:
    tools = [tool_pb2.Tool(name=f"tools/{n}", display_name="x" * n) for n in (0, 1, 200, 40_000)]
    rest = tool_service_pb2.ListToolsResponse(next_page_token="next", resume_token="resume")
    raw = repeated(
        tool_service_pb2.ListToolsResponse, "tools", [tool.SerializeToString() for tool in tools]
    )
    whole = tool_service_pb2.ListToolsResponse.FromString(raw + rest.SerializeToString())
    expected = tool_service_pb2.ListToolsResponse(tools=tools)
    expected.MergeFrom(rest)
    assert whole == expected
