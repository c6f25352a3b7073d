"""Comparisons of what a claim states with the bound tool's own nominal values.

Each adds what it compared to the evidence and returns what differs, in words.
"""

from __future__ import annotations

from dataclasses import replace

from smoothcore_server.domain.claim import Case, Evidence, SizeGap
from smoothcore_server.domain.comparing import (
    Found,
    SizeReading,
    compare_sizes,
    compare_words,
    difference_text,
    known_time,
    wear_band_mm,
    within_wear_band,
)
from smoothcore_server.domain.kind_rules import (
    NO_DIAMETER,
    identity_only,
    kind_words,
    kinds_agree,
    why_no_diameter,
    why_no_own_diameter,
)
from smoothcore_server.domain.length import Length
from smoothcore_server.domain.named_claim import NamedClaim
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.verification import CompareSource, Note

_ANGLE_TOLERANCE_DEG = 0.5
"""Catalogs round point angles to whole or half degrees."""


def compare_with_header(case: Case, tool: Tool, evidence: Evidence) -> list[str]:
    """What the program's tool comment says against the bound tool."""
    radius = tool.geometry.corner_radius
    return [
        *_compare_kind(case.kind, tool, evidence),
        *_compare_diameter(case, case.diameter, case.kind, tool, evidence),
        *_compare_size(case, "corner_radius", case.corner_radius, radius, tool, evidence),
    ]


def compare_with_named(case: Case, claim: NamedClaim, tool: Tool, evidence: Evidence) -> list[str]:
    """The nominal values of what is named against the bound tool.

    A value that the tool has from its type, or that it does not state, is not compared.
    """
    if identity_only(case.machine):
        return []
    wanted, own = claim.geometry, tool.geometry
    found: list[str] = []
    if tool.kind is not None and claim.kind is not tool.kind:
        found += _compare_kind(claim.kind, tool, evidence)
    if own.diameter is not None and own.diameter != claim.diameter:
        found += _compare_diameter(case, claim.diameter, claim.kind, tool, evidence)
    if own.corner_radius is not None and own.corner_radius != wanted.corner_radius:
        radii = (wanted.corner_radius, own.corner_radius)
        found += _compare_size(case, "corner_radius", *radii, tool, evidence)
    if own.point_angle_deg is not None and own.point_angle_deg != wanted.point_angle_deg:
        angles = (wanted.point_angle_deg, own.point_angle_deg)
        found += _compare_angle(*angles, tool, evidence)
    return found


def _compare_kind(wanted: ToolKind | None, tool: Tool, evidence: Evidence) -> list[str]:
    if wanted is None:
        return []
    if tool.kind is None:
        evidence.skip("kind", f"{tool.name} states no kind")
        return []
    words, found = kind_words(wanted), kind_words(tool.kind)
    agrees = kinds_agree(wanted, tool.kind)
    if agrees is None:
        evidence.skip("kind", f"{words} and {found} do not exclude each other")
        return []
    evidence.compare(compare_words("kind", words, found, agrees, where(tool)), of_claim=True)
    return [] if agrees else [f"{found} instead of {words}"]


def _compare_diameter(
    case: Case, wanted: Length | None, kind: ToolKind | None, tool: Tool, evidence: Evidence
) -> list[str]:
    """The register rules record why a diameter is not compared."""
    if wanted is None or why_no_own_diameter(case.machine, kind, tool.kind):
        return []
    stated = tool.geometry.diameter
    usable = stated if stated is not None and stated.mm > 0 else None
    if usable is None and why_no_diameter(case.machine, kind, tool.kind):
        # A tap: no register will ever tell its size, so that the tool itself must.
        reading = SizeReading("", why_not=NO_DIAMETER[ToolKind.TAP])
        evidence.size_gap = SizeGap("diameter", wanted, reading, f"State the size of {tool.name}.")
    return _compare_size(case, "diameter", wanted, usable, tool, evidence)


def _compare_size(
    case: Case,
    field: str,
    wanted: Length | None,
    found: Length | None,
    tool: Tool,
    evidence: Evidence,
) -> list[str]:
    if wanted is None:
        return []
    if found is None:
        evidence.skip(field, f"{tool.name} states no {field.replace('_', ' ')}")
        return []
    comparison = compare_sizes(field, wanted, found, where(tool))
    reground = field == "diameter" and within_wear_band(wanted, found, case.machine)
    if reground and not comparison.agrees:
        band = wear_band_mm(case.machine)
        comparison = replace(comparison, agrees=True, tolerance_mm=band)
        evidence.note(Note.WEAR_ADJUSTED)
    evidence.compare(comparison, of_claim=True)
    if comparison.agrees:
        return []
    difference = difference_text(found.mm - wanted.mm, wanted.unit)
    return [f"{field.replace('_', ' ')} {found} instead of {wanted}, {difference}"]


def _compare_angle(wanted: float | None, found: float, tool: Tool, evidence: Evidence) -> list[str]:
    if wanted is None:
        return []
    agrees = abs(found - wanted) <= _ANGLE_TOLERANCE_DEG
    words = (f"{wanted:g} deg", f"{found:g} deg")
    evidence.compare(compare_words("point_angle", *words, agrees, where(tool)), of_claim=True)
    return [] if agrees else [f"point angle {words[1]} instead of {words[0]}"]


def where(tool: Tool) -> Found:
    """That a value was found on the bound tool."""
    return Found(CompareSource.BOUND_TOOL, tool.name, known_time(tool.meta.update_time))
