"""Values that the rules of a field allow, at their edges and in odd combinations: what gets past
validation and has to be dealt with behind it."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from hypothesis import strategies as st

from smoothcore_server.transport.resource_names import ResourcePattern
from smoothcore_server.transport.rules import Rule, rule_of
from smoothcore_server.transport.steps import pattern_for
from tests.security.fuzz.names import stand_in, texts_of

OURS, THEIRS = stand_in("stand-in-ours"), stand_in("stand-in-theirs")
NAMES = [*texts_of(OURS).values(), *texts_of(THEIRS).values()]
ABSENT = (
    "machines/none",
    "machines/none/toolTableEntries/1",
    f"{OURS.machine}/toolTableEntries/99",
    f"{OURS.machine}/toolTableEntries/a~2Fb",
    f"{OURS.machine}/toolTableEntries/~",
    f"{OURS.machine}/readiness",
    f"{OURS.machine}/bindings/none",
    f"{THEIRS.machine}/readiness",
    "tools/none",
    "toolTypes/none",
    "toolSets/none",
    "programs/" + "0" * 64,
    "roles/admin",
    "roles/viewer",
    "roles/none",
    "users/none",
    "apiKeys/none",
)
LENGTHS = (
    "0",
    "-0.0",
    "+.5",
    "6.350",
    "6,35",
    "5000",
    "-5000",
    "1e-3",
    "0." + "0" * 50 + "1",
    "5001",
)
FILTERS = (
    'display_name = "x"',
    'display_name:"mill"',
    "revision > 1",
    "revision >= 9223372036854775807",
    'create_time > "2026-01-01T00:00:00Z"',
    'create_time < "0001-01-01T00:00:00Z" OR NOT display_name = ""',
    'external_ids.erp = "7"',
    'condition = "BROKEN"',
    "condition != AVAILABLE AND (kind = MILL OR kind = END_MILL)",
    'name = "tools/none"',
    'tool_type = "toolTypes/none"',
    "disabled = true",
    'email = "a@b.example"',
    'display_name = "\\"\\\\ü%_*"',
)
ORDERS = ("", "name", "display_name", "create_time desc", "create_time, name desc", "revision desc")
PATHS = (
    "*",
    "condition",
    "description",
    "disabled",
    "display_name",
    "email",
    "external_ids",
    "external_ids.erp",
    "geometry",
    "geometry.diameter",
    "geometry.flute_count",
    "kind",
    "length_reference",
    "length_unit",
    "machines",
    "members",
    "permissions",
    "register_profile",
    "register_profile.diameter_meaning",
    "roles",
    "staleness_limit",
    "tool_type",
    "wear_band",
)
IDS = ("a", "new-1", "new-2", "x" * 63, "stand-in-ours-tool", "none")
EMAILS = ("a@b.example", "A@B.EXAMPLE", "ü@ü.example", "x" * 200 + "@b.example")
SECONDS = (0, 1, 10**9, 1_790_000_000, 253_402_300_799, -62_135_596_800)
SPANS = (0, 1, 60, 86_400, 366 * 86_400)
FIELD_TEXTS: dict[str, tuple[str, ...]] = {
    "filter": FILTERS,
    "order_by": ORDERS,
    "paths": PATHS,
    "page_token": ("",),
    "resume_token": ("",),
    "etag": ("", "1-00", "7-abcdef"),
    "request_id": ("r-1", "r-2", "r-3", "x" * 64),
    "address": ("1", "2", "99", "DRILL-8/2", "x" * 64, "٣"),
    "password": ("three blue tigers", "", "nine red foxes", "x" * 256),
    "new_password": ("three blue tigers", "nine red foxes", "ü" * 256),
    "text": LENGTHS,
}


def plausible(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values of one field."""
    rule = rule_of(field.full_name)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _texts(field, rule, pattern_for(field))
    if field.enum_type is not None:
        return st.sampled_from(sorted(field.enum_type.values_by_number))
    if field.name == "seconds":
        is_span = field.containing_type.name == "Duration"
        return st.sampled_from(SPANS if is_span else SECONDS)
    if field.name == "nanos":
        return st.sampled_from((0, 1, 999_999_999))
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    return _numbers(field, rule)


def _texts(
    field: FieldDescriptor, rule: Rule, pattern: ResourcePattern | None
) -> st.SearchStrategy[str]:
    if pattern is not None:
        fitting = [name for name in (*NAMES, *ABSENT) if pattern.matches(name)]
        return st.sampled_from(fitting)
    if rule.any_resource:
        return st.sampled_from([name for name in (*NAMES, *ABSENT) if "/" in name])
    if rule.choices:
        return st.sampled_from(sorted(rule.choices))
    if rule.email:
        return st.sampled_from(EMAILS)
    if field.name in FIELD_TEXTS:
        return st.sampled_from(FIELD_TEXTS[field.name])
    if rule.is_id:
        return st.sampled_from(IDS)
    if rule.pattern:
        return st.from_regex(rule.pattern, fullmatch=True)
    longest = min(rule.max_length, 2_000)
    letters = st.characters(exclude_categories=("C", "Zl", "Zp"))
    return st.one_of(
        st.text(letters, min_size=1, max_size=min(longest, 30)),
        st.sampled_from((longest, longest // 2)).map(lambda count: "ü" * count),
    )


def _numbers(field: FieldDescriptor, rule: Rule) -> st.SearchStrategy[Any]:
    low = rule.minimum if rule.minimum is not None else -1000
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        high = rule.maximum if rule.maximum is not None else 1000
        return st.floats(low, high)
    largest = 2**31 - 1 if field.cpp_type == FieldDescriptor.CPPTYPE_INT32 else 2**63 - 1
    high = rule.maximum if rule.maximum is not None else largest
    edges = (int(low), int(low) + 1, 1 if high >= 1 else 0, int(high))
    return st.sampled_from(edges)
