"""What the hub knew at an earlier time, read from the change log.

Only the time at which something became known counts here: what a device had read, and reported
later, was not known yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import ResourceType
from smoothcore_server.domain.errors import invalid_field, not_found
from smoothcore_server.domain.tool_table import unescape_address
from smoothcore_server.store import change_log, horizon, nouns, snapshots
from smoothcore_server.store.noun import address_order
from smoothcore_server.store.snapshots import Image
from smoothcore_server.store.transaction import Reader

_BATCH = 1_000


def revision_at(reader: Reader, field: str, time: datetime) -> int:
    """The revision that was the newest at a time.

    Raises InvalidArgumentError for the future, OutOfRangeError for what was compacted away.
    """
    # What is committed is no future, also where the clock was set back, or another's is ahead.
    if time > max(reader.now, reader.head.commit_time):
        raise invalid_field(
            field, f"lies in the future: the server's clock says {reader.now.isoformat()}"
        )
    return _known(reader, change_log.revision_at(reader.connection, reader.organization, time))


def check_revision(reader: Reader, field: str, revision: int) -> int:
    """A revision as of which can be read; raises as `revision_at`."""
    if revision > reader.head.revision:
        raise invalid_field(
            field, f"lies in the future: the newest change set is {reader.head.revision}"
        )
    return _known(reader, revision)


def resource_at(reader: Reader, view: View, name: str, revision: int) -> Image:
    """A resource as of a revision; one that was deleted by then as it was last.

    Raises NotFoundError where it had not been made, or is not in view.
    """
    resource_type = nouns.type_of(name)
    found = resource_type and _newest(reader, resource_type, name, revision)
    if not found or not view.shows(found.change):
        raise not_found(name)
    return found


def entry_at(reader: Reader, machine_id: str, address: str, revision: int) -> Image:
    """A row of a tool table as of a revision; raises NotFoundError where there was none."""
    return _existing(
        reader,
        ResourceType.TOOL_TABLE_ENTRY,
        nouns.TOOL_TABLE_ENTRY.name_of(machine_id, address),
        revision,
    )


def entries_at(
    reader: Reader, machine_id: str, revision: int, after: Sequence[str] | None, limit: int
) -> list[tuple[Image, list[str]]]:
    """Rows of a tool table as of a revision, in the order of their numbers, behind a key; each
    with the key to go on behind it.

    Raises NotFoundError where there was no such machine.
    """
    machine = nouns.MACHINE.name_of(machine_id)
    _existing(reader, ResourceType.MACHINE, machine, revision)
    # The log has them in the order of their names, where 10 comes before 2.
    keyed = [(_order_of(image), image) for image in _table(reader, machine, revision)]
    start = list(after) if after else []
    behind = sorted((item for item in keyed if item[0] > start), key=lambda item: item[0])
    return [(image, key) for key, image in behind[:limit]]


def _known(reader: Reader, revision: int) -> int:
    horizon.check_history(horizon.read(reader.connection, reader.organization), revision)
    return revision


def _table(reader: Reader, machine: str, revision: int) -> list[Image]:
    """All rows that a machine's table had."""
    found: list[Image] = []
    last, below = f"{machine}/", f"{machine}0"
    while last:
        walked = snapshots.walk(
            reader.connection,
            reader.organization,
            ResourceType.TOOL_TABLE_ENTRY,
            revision,
            after=last,
            below=below,
            limit=_BATCH,
            max_bytes=change_log.MAX_READ_BYTES,
        )
        found += [image for image in walked.images if not image.is_deleted]
        last = walked.last
    return found


def _order_of(image: Image) -> list[str]:
    address = unescape_address(image.change.name.rpartition("/")[2])
    return [address_order(address), address]


def _existing(reader: Reader, resource_type: ResourceType, name: str, revision: int) -> Image:
    found = _newest(reader, resource_type, name, revision)
    if found is None or found.is_deleted:
        raise not_found(name)
    return found


def _newest(reader: Reader, resource_type: ResourceType, name: str, revision: int) -> Image | None:
    return snapshots.newest(reader.connection, reader.organization, resource_type, name, revision)
