"""Changes that are large: each message can be received, and no reading fills the memory."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from smoothcore.v1 import tool_pb2, tool_service_pb2
from smoothcore.v1.change_service_pb2 import GetResourceAtRequest
from smoothcore_server.api.messages import change_set as messages
from smoothcore_server.domain import change as domain
from smoothcore_server.domain.change import ChangeSet
from smoothcore_server.domain.tool import Tool
from smoothcore_server.store import change_log, transaction
from tests.feed.conftest import Follow
from tests.feed.following import head_token, listed
from tests.feed.writing import create_machine, create_tool, create_tools, push_rows, rename_tool
from tests.support.requests import refused
from tests.support.smooth import Caller, SmoothServer

LIMIT = 850


@pytest.fixture
def small_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource may have 850 bytes, and so may the two images of a change together."""
    monkeypatch.setattr(domain, "MAX_IMAGE_BYTES", LIMIT)
    monkeypatch.setattr(transaction, "MAX_IMAGE_BYTES", LIMIT)


@pytest.mark.usefixtures("small_images")
async def test_what_was_before_is_left_out_of_a_change_that_no_message_could_carry(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    follower = await follow(caller)
    first = await create_tool(caller, "t", "a" * 190)
    await rename_tool(caller, "t", "b" * 190)
    long = [text * 190 for text in ("é", "ü")]
    revisions = [await rename_tool(caller, "t", text) for text in long]
    await follower.until(revisions[-1])
    for change_sets in (follower.change_sets, await listed(caller, after=first - 1)):
        created, small, fits, large = [each.changes[0] for each in change_sets]
        assert not created.before_omitted
        assert (small.before_omitted, bool(small.before.value)) == (False, True)
        assert fits.before.value or fits.before_omitted
        assert (large.before_omitted, large.before.type_url) == (True, "")
        assert large.after.value, "what is now always comes"
        assert list(large.changed_fields) == ["display_name"], "told although it was left out"
    was = await caller.changes.GetResourceAt(
        GetResourceAtRequest(name="tools/t", revision=revisions[-1] - 1)
    )
    assert was.resource.value == follower.change_sets[-2].changes[0].after.value


@pytest.mark.usefixtures("small_images")
async def test_a_resource_that_no_message_could_carry_is_refused_at_the_source(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    before = await head_token(caller)
    tool = tool_pb2.Tool(display_name="é" * 200, manufacturer="é" * 200, product_id="é" * 200)
    seen = await refused(
        caller.tools.CreateTool(tool_service_pb2.CreateToolRequest(tool_id="t", tool=tool)),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_LARGE",
        "tools/t",
    )
    assert seen.metadata["limit"] == str(LIMIT)
    assert await head_token(caller) == before, "nothing of it is in the log"


def test_two_images_that_may_be_kept_fit_into_a_message_or_one_is_left_out() -> None:
    for size in (domain.MAX_IMAGE_BYTES, domain.MAX_IMAGE_BYTES // 2):
        text = "x" * (size - 100)
        image = messages.encode_image(Tool("t", display_name=text))
        change = domain.Change(
            0, domain.ResourceType.TOOL, "tools/t", "", domain.ChangeKind.UPDATED, image, image
        )
        assert messages.change_message(change).ByteSize() < 4 * 2**20 - 100_000


@pytest.mark.usefixtures("small_ring")
async def test_a_lagging_watcher_reads_no_more_at_once_than_fits_into_memory(
    server_on_each: SmoothServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server_on_each.caller()
    token = await head_token(caller)
    await create_machine(caller, "m1")
    written = [await create_tools(caller, f"t{number}", 20) for number in range(15)]
    written.append(await push_rows(caller, "m1", 200))
    monkeypatch.setattr(change_log, "MAX_READ_BYTES", 8_000)
    sizes: list[tuple[int, int]] = []
    original = change_log._with_changes

    def measured(*arguments: Any) -> list[ChangeSet]:
        found = original(*arguments)
        images = [change for each in found for change in each.changes]
        sizes.append((len(found), sum(len(each.after or b"") for each in images)))
        return found

    monkeypatch.setattr(change_log, "_with_changes", measured)
    follower = await follow(caller, token=token)
    await follower.until(written[-1])
    assert [each for each in follower.revisions if each in written] == written
    assert len(sizes) >= 3, "by count alone it would be one reading"
    for count, size in sizes:
        assert size <= 8_000 or count == 1, "one change set is read whole, however large"
    assert any(count > 1 for count, _ in sizes)
