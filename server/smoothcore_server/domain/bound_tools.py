"""The tools that are bound to the rows of a table, with their nominal values and places."""

from __future__ import annotations

from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.named_claim import NamedClaim
from smoothcore_server.domain.nominal import nominal_tool
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_table import ToolTableEntry
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.verification import TableFacts

_MAX_PLACES = 4
"""So many rows are named in a message."""


class BoundTools:
    """What the open bindings of a table say. Made once for a whole report."""

    def __init__(self, table: TableFacts, elsewhere: dict[str, str]) -> None:
        self._table = table
        self._elsewhere = elsewhere
        self._by_tool: dict[str, str] = {}
        self._by_type: dict[str, list[str]] = {}
        for binding in {} if table.inline else table.bindings.values():
            if binding.is_open:
                self._add(binding)

    def _add(self, binding: Binding) -> None:
        self._by_tool.setdefault(binding.tool_id, binding.entry_name)
        tool = self._table.tools.get(binding.tool_id)
        if tool is not None and tool.tool_type_id:
            self._by_type.setdefault(tool.tool_type_id, []).append(binding.entry_name)

    def binding_of(self, entry: ToolTableEntry | None) -> Binding | None:
        """The open binding of a row; a table that came with the request has none."""
        if entry is None or self._table.inline:
            return None
        binding = self._table.bindings.get(entry.address)
        return binding if binding is not None and binding.is_open else None

    def find(self, tool_id: str) -> Tool | None:
        """A tool that is known, with its nominal values."""
        tool = self._table.tools.get(tool_id)
        return nominal_tool(tool, self._table.tool_types) if tool else None

    def type_of(self, tool: Tool | None) -> ToolType | None:
        """The type of a tool, where it is known."""
        return self._table.tool_types.get(tool.tool_type_id) if tool else None

    def place_of(self, claim: NamedClaim) -> str:
        """Where the claimed tool, or tools of the claimed type, are bound; empty if nowhere that
        is known."""
        if claim.tool_id:
            return self._elsewhere.get(claim.tool_id) or self._by_tool.get(claim.tool_id, "")
        places = self._by_type.get(claim.tool_type_id, [])
        more = f" and {len(places) - _MAX_PLACES} more" if len(places) > _MAX_PLACES else ""
        return ", ".join(places[:_MAX_PLACES]) + more
