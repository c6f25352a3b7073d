"""Tool types: nominal articles, as catalogs sell them."""

from __future__ import annotations

from dataclasses import field

from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.tool import ToolGeometry
from smoothcore_server.domain.tool_kind import ToolKind


@record(frozen=True, slots=True)
class ToolType:
    """An article of a maker: what a tool is one of."""

    id: str
    display_name: str = ""
    kind: ToolKind | None = None
    geometry: ToolGeometry = field(default=ToolGeometry())
    manufacturer: str = ""
    product_id: str = ""
    external_ids: dict[str, str] = field(default_factory=dict)
    """System -> the id there, e.g. ``{"erp": "4711"}``. Unique per system."""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"toolTypes/{self.id}"
