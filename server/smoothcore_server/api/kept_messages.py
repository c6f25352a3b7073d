"""Serialized messages of resources, kept for the next who asks for the same revision."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from google.protobuf.message import Message

from smoothcore_server.store.noun import Noun, R
from smoothcore_server.store.repository import Repository, Version

MAX_BYTES = 32 * 2**20
MAX_MESSAGE_BYTES = 64 * 2**10
"""A larger message would push out too many others."""
OVERHEAD_BYTES = 400
"""Of an entry, for its key and its place."""

Key: TypeAlias = tuple[str, str, Version]
"""Organization, type of resource, and what tells the resource at a revision from all others."""


class KeptMessages:
    """The bytes of messages, up to a limit; those that were not asked for longest go first.

    They are filled by readers only: what a write transaction has made may still be undone.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        # Readers are threads of the store.
        self._lock = threading.Lock()

    def find(self, keys: Iterable[Key]) -> list[bytes | None]:
        """What is kept under each of these keys."""
        with self._lock:
            found = []
            for key in keys:
                raw = self._kept.get(key)
                if raw is not None:
                    self._kept.move_to_end(key)
                found.append(raw)
            return found

    def keep(self, made: Mapping[Key, bytes]) -> None:
        """Keep messages."""
        with self._lock:
            for key, raw in made.items():
                if len(raw) <= MAX_MESSAGE_BYTES and key not in self._kept:
                    self._kept[key] = raw
                    self._bytes += len(raw) + OVERHEAD_BYTES
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1]) + OVERHEAD_BYTES

    def __len__(self) -> int:
        return len(self._kept)


def messages_of(
    kept: KeptMessages,
    repository: Repository[R],
    noun: Noun[R],
    versions: Sequence[Version],
    to_message: Callable[[R], Message],
) -> list[bytes]:
    """The serialized messages of resources at their versions, which must be of this transaction.

    ``to_message`` must make the same of a resource for every caller.
    """
    keys = [(repository.organization, noun.resource_type.value, version) for version in versions]
    found = kept.find(keys)
    missing = [version for version, raw in zip(versions, found, strict=True) if raw is None]
    if not missing:
        return [raw for raw in found if raw is not None]
    resources = repository.at(missing)
    made = {
        key: to_message(resources[version]).SerializeToString()
        for key, version in zip(keys, versions, strict=True)
        if version in resources
    }
    kept.keep(made)
    return [made[key] if raw is None else raw for key, raw in zip(keys, found, strict=True)]
