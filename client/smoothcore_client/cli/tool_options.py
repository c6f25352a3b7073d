"""The options that say what a tool or a tool type is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from smoothcore.v1.length_pb2 import Length
from smoothcore.v1.tool_pb2 import Tool, ToolKind
from smoothcore.v1.tool_type_pb2 import ToolType
from smoothcore_client.cli.values import enum_option, length_option

NameOption = Annotated[str | None, typer.Option("--name", help="Name for people.")]
KindOption = Annotated[int, enum_option("--kind", ToolKind, "The shape of its cutting end.")]
DiameterOption = Annotated[
    Length | None, length_option("--diameter", "Cutting diameter, e.g. 6mm or 0.25in.")
]
CornerRadiusOption = Annotated[Length | None, length_option("--corner-radius", "Corner radius.")]
OverallLengthOption = Annotated[Length | None, length_option("--overall-length", "Overall length.")]
FlutesOption = Annotated[
    int | None, typer.Option("--flutes", min=0, help="Number of flutes.", show_default=False)
]
ManufacturerOption = Annotated[str | None, typer.Option("--manufacturer", help="Who makes it.")]
ProductIdOption = Annotated[
    str | None, typer.Option("--product-id", help="The maker's product code.")
]
ExternalIdOption = Annotated[
    list[str] | None,
    typer.Option(
        "--external-id",
        metavar="SYSTEM=ID",
        help="Its id in another system, e.g. erp=4711; may be given several times.",
    ),
]
FilterOption = Annotated[
    str, typer.Option("--filter", help="Only those, e.g. 'diameter = 6mm' or 'external_ids:erp'.")
]


def parse_external_ids(texts: Sequence[str] | None) -> dict[str, str]:
    """``erp=4711`` -> ``{"erp": "4711"}``."""
    pairs = [text.partition("=") for text in texts or ()]
    for system, equals, _ in pairs:
        if not system or not equals:
            raise typer.BadParameter(f"{system!r} is no external id such as erp=4711")
    return {system: value for system, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Stated:
    """What the options say; what was not given is None, and an empty text takes away."""

    texts: Mapping[str, str | None]
    kind: int
    lengths: Mapping[str, Length | None]
    flutes: int | None
    external_ids: Mapping[str, str]

    def fill(self, resource: Tool | ToolType) -> list[str]:
        """Set it in a resource; gives the paths for the mask of an update."""
        return [
            *self._fill_fields(resource),
            *self._fill_sizes(resource),
            *self._fill_ids(resource),
        ]

    def _fill_fields(self, resource: Any) -> list[str]:
        given = {name: text for name, text in self.texts.items() if text is not None}
        for name, text in given.items():
            setattr(resource, name, text)
        resource.kind = ToolKind.ValueType(self.kind)
        return [*given, *(["kind"] if self.kind else [])]

    def _fill_sizes(self, resource: Any) -> list[str]:
        given = {name: size for name, size in self.lengths.items() if size is not None}
        for name, size in given.items():
            getattr(resource.geometry, name).CopyFrom(size)
        if self.flutes is not None:
            resource.geometry.flute_count = self.flutes
        sizes = [*given, *(["flute_count"] if self.flutes is not None else [])]
        return [f"geometry.{name}" for name in sizes]

    def _fill_ids(self, resource: Any) -> list[str]:
        for system, value in self.external_ids.items():
            if value:
                resource.external_ids[system] = value
        return [f"external_ids.{system}" for system in self.external_ids]
