"""How one type of resource is stored."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import (
    ColumnElement,
    Delete,
    Select,
    Table,
    bindparam,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from smoothcore_server.domain.change import ResourceType
from smoothcore_server.domain.resource import Meta
from smoothcore_server.store.mapping import Row, RowMapper
from smoothcore_server.store.one_of import one_of
from smoothcore_server.store.prepared import ManyRows, Rows


class Resource(Protocol):
    """What all resources have."""

    @property
    def name(self) -> str:
        """The resource name."""

    @property
    def meta(self) -> Meta:
        """Identity and version."""


R = TypeVar("R", bound=Resource)


def no_machine(_resource: object) -> str:
    """Of what belongs to no machine."""
    return ""


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
    machine_of: Callable[[R], str] = no_machine
    """The machine a resource belongs to."""
    derived: Callable[[R], Row] = lambda _resource: {}
    """Columns that no field has."""
    is_volatile: bool = False
    """Whether something in a row may change without a new revision (`WritableRepository.touch`)."""

    @property
    def has_machine(self) -> bool:
        """Whether these resources belong to machines."""
        return self.machine_of is not no_machine

    @cached_property
    def shape(self) -> tuple[str, ...]:
        """The segments of a name, empty where an id stands: ``machines, "", jobs, ""``."""
        segments = self.name_of(*["x"] * len(self.key)).split("/")
        return tuple("" if segment == "x" else segment for segment in segments)

    @property
    def is_below_machine(self) -> bool:
        """Whether each name begins with that of the machine it belongs to, and goes on."""
        return self.has_machine and self.shape[:2] == ("machines", "") and len(self.shape) > 2

    def key_in(self, resource: R) -> tuple[str, ...]:
        """The key of a resource."""
        return tuple([getattr(resource, name) for name in self.key])

    # Statements are made once: building one costs more than running it.

    @cached_property
    def mapper(self) -> RowMapper[R]:
        """Between resources and rows."""
        return RowMapper(self.cls)

    @cached_property
    def all(self) -> Select[Any]:
        """Reads the resources of the organization in the parameter of its column's name; its
        columns are those of the mapper."""
        columns = [self.table.c[name] for name in self.mapper.columns]
        return select(*columns).where(self._is("organization_id"))

    @cached_property
    def has_external_ids(self) -> bool:
        """Whether it has the field ``external_ids``: whoever has it keeps its rule too."""
        fields: Any = dataclasses.fields(self.cls)  # type: ignore[arg-type]
        return any(field.name == "external_ids" for field in fields)

    @cached_property
    def by_key(self) -> Rows:
        """Reads the resource of a key; parameters have the names of the key's columns."""
        return Rows(self.all.where(*map(self._is, self.key)))

    @property
    def version(self) -> tuple[str, ...]:
        """The columns of a `repository.Version`."""
        return (*self.key, "uid", "revision", "update_time")

    @cached_property
    def versions(self) -> Select[Any]:
        """Reads versions where `all` reads resources."""
        # Compared and never shown, so the time stays in the driver's form.
        columns: list[ColumnElement[Any]] = [
            type_coerce(self.table.c[name], NullType()) for name in self.version
        ]
        return select(*columns).where(self._is("organization_id"))

    @cached_property
    def version_by_key(self) -> Rows:
        """Reads the version of a key."""
        return Rows(self.versions.where(*map(self._is, self.key)))

    @cached_property
    def by_ids(self) -> Rows:
        """Reads the resources of the ids in the parameter ``ids``; for nouns whose key is one."""
        (key,) = self.key
        return Rows(self.all.where(one_of(self.table.c[key], "ids")))

    @cached_property
    def versions_by_ids(self) -> Rows:
        """Reads versions where `by_ids` reads resources."""
        (key,) = self.key
        return Rows(self.versions.where(one_of(self.table.c[key], "ids")))

    @cached_property
    def insert(self) -> ManyRows:
        """Writes new rows."""
        return ManyRows(self.table.insert())

    @cached_property
    def update(self) -> ManyRows:
        """Replaces the rows of keys, whose parameters are named by `key_parameter`."""
        keys = ("organization_id", *self.key)
        return ManyRows(
            self.table.update().where(*[self._is(name, key_parameter(name)) for name in keys])
        )

    @cached_property
    def delete(self) -> Delete:
        """Deletes the row of a key; parameters have the names of the key's columns."""
        return self.table.delete().where(*map(self._is, ("organization_id", *self.key)))

    def _is(self, column: str, parameter: str = "") -> ColumnElement[bool]:
        found: ColumnElement[bool] = self.table.c[column] == bindparam(parameter or column)
        return found


def key_parameter(column: str) -> str:
    """A column of the key in `Noun.update`, where its own name says what to set it to."""
    return f"key_{column}"


_DIGITS = re.compile(r"\d+", re.ASCII)


def address_order(address: str) -> str:
    """A text whose order is the order of addresses for people: T2 before T10, 5 before 5.1."""
    if address.isascii() and address.isdecimal():
        return address.zfill(12)  # Nearly all of them.
    return _DIGITS.sub(lambda run: run[0].zfill(12), address)
