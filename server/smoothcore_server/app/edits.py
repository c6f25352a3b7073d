"""Changes of resources as callers ask for them: one, or up to a thousand at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from smoothcore_server.app import field_mask
from smoothcore_server.store.noun import Resource
from smoothcore_server.store.repository import WritableRepository, check_etag

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class Edit(Generic[R]):
    """What a caller wants of one resource: these fields, as ``wanted`` has them."""

    wanted: R
    paths: Sequence[str]
    etag: str = ""
    """Of the version that the caller has read; empty: any."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """That a resource is to go."""

    id: str
    etag: str = ""
    """Of the version that the caller has read; empty: any."""


def edited(before: Sequence[R], edits: Sequence[Edit[R]]) -> list[R]:
    """What resources become, in the same order; raises AbortedError."""
    for resource, edit in zip(before, edits, strict=True):
        check_etag(resource, edit.etag)
    pairs = zip(before, edits, strict=True)
    return [field_mask.apply(resource, edit.wanted, edit.paths) for resource, edit in pairs]


def replace_all(
    repository: WritableRepository[R], before: Sequence[R], after: Sequence[R]
) -> list[R]:
    """Store what has changed, all at once; gives all of them as they are now, in order."""
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    stored = {resource.name: resource for resource in repository.update_many(pairs)}
    return [stored.get(resource.name, resource) for resource in before]


def delete_all(
    repository: WritableRepository[R], resources: Sequence[R], deletions: Sequence[Deletion]
) -> None:
    """Delete resources; raises AbortedError."""
    for resource, deletion in zip(resources, deletions, strict=True):
        repository.delete(resource, deletion.etag)
