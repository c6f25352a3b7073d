"""What a watch begins with when it is asked to: all that there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smoothcore.v1 import change_service_pb2
from smoothcore_server.api.messages import change_set as message
from smoothcore_server.api.watch_messages import split
from smoothcore_server.app.snapshot import Part, read_part
from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import Change
from smoothcore_server.feed.tokens import OTHER_HISTORY, Cursor, Position, ResumeTokens, foreign
from smoothcore_server.store import horizon
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader

PART_NAMES, PART_BYTES = 1_024, 2**20
"""So many names, with images of so many bytes, are read at once."""


class Snapshot:
    """All that a view shows, as of a position of the log."""

    def __init__(
        self,
        store: Store,
        tokens: ResumeTokens,
        organization: str,
        view: View,
        position: Position,
        message_bytes: int,
        check: Callable[[Reader], None],
    ) -> None:
        """``check`` raises what ends the watch: its caller's rights may change in the meantime."""
        self._store = store
        self._tokens = tokens
        self._organization = organization
        self._view = view
        self._position = position
        self._message_bytes = message_bytes
        self._check = check

    async def part(self, cursor: Cursor) -> tuple[list[bytes], Cursor | None]:
        """The messages of the next part behind a cursor, and where it goes on; None at the end.

        Raises what ``check`` does, OutOfRangeError when the log was compacted beyond the snapshot,
        FailedPreconditionError when it is another log.
        """
        part = await self._store.read(self._organization, lambda reader: self._read(reader, cursor))
        return list(self._messages(part)), part.rest

    def nothing(self, cursor: Cursor) -> bytes:
        """The message that there was nothing to send up to here."""
        return self._message((), cursor)

    def end(self) -> bytes:
        """The message that it is complete."""
        return change_service_pb2.WatchChangesResponse(
            snapshot_end=change_service_pb2.SnapshotEnd(revision=self._position.revision),
            resume_token=self._token(None),
        ).SerializeToString()

    def _read(self, reader: Reader, cursor: Cursor) -> Part:
        """All as of one moment: the images that are read are still those of the snapshot."""
        self._check(reader)
        revision = self._position.revision
        horizon.check_feed(horizon.read(reader.connection, reader.organization), revision)
        chain_hash = reader.chain_hash_at(revision)
        if chain_hash is None or Position.at(revision, chain_hash) != self._position:
            raise foreign(OTHER_HISTORY)
        return read_part(
            reader, self._view, revision, cursor, limit=PART_NAMES, max_bytes=PART_BYTES
        )

    def _messages(self, part: Part) -> Sequence[bytes]:
        parts = list(split(part.found, self._message_bytes))
        last = len(parts) - 1
        return [
            self._message(found, part.rest if index == last and part.rest else _behind(found[-1]))
            for index, found in enumerate(parts)
        ]

    def _message(self, found: Sequence[Change], cursor: Cursor) -> bytes:
        return change_service_pb2.WatchChangesResponse(
            snapshot_items=change_service_pb2.SnapshotItems(
                items=[message.snapshot_item(change) for change in found],
                revision=self._position.revision,
            ),
            resume_token=self._token(cursor),
        ).SerializeToString()

    def _token(self, cursor: Cursor | None) -> str:
        return self._tokens.make(self._organization, self._position, self._view.hash, cursor)


def _behind(change: Change) -> Cursor:
    return Cursor(change.type.value, change.name)
