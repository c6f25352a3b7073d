"""Change sets that the server splits over messages or pages, made whole again."""

from __future__ import annotations

from collections.abc import Iterable

from smoothcore.v1.change_set_pb2 import ChangeSet


class Joiner:
    """Keeps the parts of a change set until the last one is there."""

    def __init__(self) -> None:
        self._partial: ChangeSet | None = None

    def complete(self, parts: Iterable[ChangeSet]) -> list[ChangeSet]:
        """The change sets that these parts complete, in their order."""
        return [whole for part in parts if (whole := self._join(part)) is not None]

    def _join(self, part: ChangeSet) -> ChangeSet | None:
        if self._partial is None:
            if not part.more:
                return part
            self._partial = ChangeSet()
            self._partial.CopyFrom(part)
            return None
        self._partial.changes.extend(part.changes)
        if part.more:
            return None
        whole, self._partial = self._partial, None
        whole.more = False
        return whole
