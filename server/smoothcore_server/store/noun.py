"""How one type of resource is stored."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Select, Table, bindparam, select

from smoothcore_server.domain.change import ResourceType
from smoothcore_server.domain.resource import Meta
from smoothcore_server.store.mapping import Row


class Resource(Protocol):
    """What all resources have."""

    @property
    def name(self) -> str:
        """The resource name."""

    @property
    def meta(self) -> Meta:
        """Identity and version."""


R = TypeVar("R", bound=Resource)


@dataclass(frozen=True)
class Noun(Generic[R]):
    """How one type of resource is stored."""

    resource_type: ResourceType
    cls: type[R]
    table: Table
    key: tuple[str, ...]
    """Columns that, behind the organization, are the primary key."""
    order: tuple[str, ...]
    """Columns that lists are ordered by; unique within what is listed."""
    name_of: Callable[..., str]
    """The resource name of a key."""
    machine_of: Callable[[R], str] = lambda _resource: ""
    """The machine a resource belongs to."""
    derived: Callable[[R], Row] = lambda _resource: {}
    """Columns that no field has."""

    @cached_property
    def by_key(self) -> Select[Any]:
        """Reads the row of a key. Made once: building it costs more than running it."""
        columns = self.table.c
        names = ("organization_id", *self.key)
        return select(self.table).where(*[columns[name] == bindparam(name) for name in names])


_DIGITS = re.compile(r"\d+", re.ASCII)


def address_order(address: str) -> str:
    """A text whose order is the order of addresses for people: T2 before T10, 5 before 5.1."""
    return _DIGITS.sub(lambda run: run[0].zfill(12), address)
