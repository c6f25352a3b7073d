"""Filters and orders mean the same on both engines as in plain Python."""

from __future__ import annotations

import json
import operator
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    insert,
)
from sqlalchemy.dialects import postgresql, sqlite

from smoothcore.v1 import (
    api_key_pb2,
    binding_pb2,
    job_pb2,
    machine_pb2,
    program_pb2,
    program_pin_pb2,
    tool_pb2,
    tool_set_pb2,
    tool_table_entry_pb2,
    tool_type_pb2,
    user_pb2,
)
from smoothcore_server.app.table_facts import as_last_read
from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.change import ResourceType
from smoothcore_server.domain.errors import InvalidArgumentError
from smoothcore_server.domain.filter_expression import (
    And,
    Comparison,
    Expression,
    Not,
    Operator,
    Or,
    to_text,
)
from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.table_push import PushMode
from smoothcore_server.domain.tool import ToolCondition
from smoothcore_server.domain.user import Person, User
from smoothcore_server.store import listing_fields as fields_of
from smoothcore_server.store import nouns
from smoothcore_server.store.listing import FIELDS, Listing
from smoothcore_server.store.listing_fields import Field
from smoothcore_server.store.noun import Noun
from smoothcore_server.store.repository import Repository
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader, Transaction
from smoothcore_server.store.types import UtcDateTime
from tests.contract.shop import MACHINE, ORGANIZATION, PROGRAM, furnish, push, row, write
from tests.contract.values import TEXTS

FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LISTED: dict[ResourceType, tuple[Any, str]] = {
    ResourceType.MACHINE: (machine_pb2.Machine, "machines"),
    ResourceType.TOOL_TABLE_ENTRY: (tool_table_entry_pb2.ToolTableEntry, "entries"),
    ResourceType.TOOL: (tool_pb2.Tool, "tools"),
    ResourceType.TOOL_TYPE: (tool_type_pb2.ToolType, "tool_types"),
    ResourceType.TOOL_SET: (tool_set_pb2.ToolSet, "tool_sets"),
    ResourceType.BINDING: (binding_pb2.Binding, "bindings"),
    ResourceType.PROGRAM: (program_pb2.Program, "programs"),
    ResourceType.PROGRAM_PIN: (program_pin_pb2.ProgramPin, "program_pins"),
    ResourceType.JOB: (job_pb2.Job, "jobs"),
    ResourceType.API_KEY: (api_key_pb2.ApiKey, "api_keys"),
    ResourceType.USER: (user_pb2.User, "users"),
}
BY_TYPE = {noun.resource_type: noun for noun in nouns.NOUNS}


# A resource that has every kind of field, each of them absent at times.


@dataclass(frozen=True, slots=True)
class Thing:
    """A row of the table below."""

    id: str
    note: str | None
    number: int | None
    real: float | None
    flag: bool | None
    time: datetime | None
    size: Length | None
    condition: ToolCondition | None
    tool_id: str | None
    ids: dict[str, str] | None


THINGS = Table(
    "thing",
    MetaData(),
    Column("organization_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("note", Text),
    Column("number", Integer),
    Column("real", Float(53)),
    Column("flag", Boolean),
    Column("time", UtcDateTime),
    Column("size", Text),
    Column("size_mm", Float(53)),
    Column("condition", Text),
    Column("tool_id", Text),
    Column("ids", JSON),
)
THING: Noun[Any] = Noun(
    resource_type=ResourceType.READINESS,  # It has no list of its own.
    cls=Thing,
    table=THINGS,
    key=("id",),
    order=("id",),
    name_of="things/{}".format,
)
THING_FIELDS: dict[str, Field] = {
    "id": fields_of.text(THINGS.c.id),
    "note": fields_of.text(THINGS.c.note),
    "number": fields_of.number(THINGS.c.number),
    "real": fields_of.number(THINGS.c.real),
    "flag": fields_of.boolean(THINGS.c.flag),
    "time": fields_of.moment(THINGS.c.time),
    "size": fields_of.length(THINGS.c.size_mm),
    "condition": fields_of.choice(THINGS.c.condition, ToolCondition),
    "tool": fields_of.name("tools/{}", THINGS.c.tool_id, order=THINGS.c.tool_id),
    "ids": fields_of.json_map(THINGS.c.ids),
}

NOTES = TEXTS | st.sampled_from(
    ["drill", "Drill 6", "DRILL%", "a_b", "aXb", "100%", "Ä", "ä", "İ", "ß", "K", "a/b", "Z", "~"]
)
INTEGERS = st.integers(-3, 3) | st.integers(-(2**31), 2**31 - 1)
REALS = st.sampled_from([0.0, 0.1, -0.25, 118.0, 90.5])
PRINTED = st.sampled_from(["6", "6.35", "0.25", "0.3", "7.62", "-1.5", "0"])
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
MOMENTS = st.integers(-3, 3).map(lambda step: MOMENT + step * timedelta(microseconds=1))
KEYS = st.sampled_from(["erp", "sap-1", "a.b", "1"])


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


THING_ROWS = st.lists(
    st.builds(
        Thing,
        id=st.text(string.ascii_letters, min_size=1, max_size=2),
        note=maybe(NOTES),
        number=maybe(INTEGERS),
        real=maybe(REALS),
        flag=maybe(st.booleans()),
        time=maybe(MOMENTS),
        size=maybe(st.builds(Length.parse, PRINTED, st.sampled_from(LengthUnit))),
        condition=maybe(st.sampled_from(ToolCondition)),
        tool_id=maybe(st.sampled_from(["t-1", "T-1", "t-2"])),
        ids=maybe(st.dictionaries(KEYS, NOTES, max_size=3)),
    ),
    max_size=12,
    unique_by=lambda thing: thing.id,
)
EQUALITY = st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL])
ORDERING = st.sampled_from([each for each in Operator if each is not Operator.HAS])


def terms(
    name: str, operators: st.SearchStrategy[Operator], values: st.SearchStrategy[str]
) -> st.SearchStrategy[Expression]:
    path = tuple(name.split("."))
    return st.builds(lambda how, value: Comparison(path, how, value), operators, values)


COMPARISONS: st.SearchStrategy[Expression] = st.one_of(
    terms("note", st.sampled_from(Operator), NOTES),
    terms("number", ORDERING, INTEGERS.map(str)),
    terms("real", ORDERING, REALS.map(str)),
    terms("flag", EQUALITY, st.sampled_from(["true", "false"])),
    terms("time", ORDERING, MOMENTS.map(datetime.isoformat)),
    terms("size", ORDERING, st.builds(str.__add__, PRINTED, st.sampled_from(["mm", "in"]))),
    terms(
        "condition",
        EQUALITY,
        st.sampled_from(ToolCondition).map(lambda member: member.name)
        | st.sampled_from(ToolCondition).map(lambda member: f"TOOL_CONDITION_{member.name}"),
    ),
    terms("tool", EQUALITY, st.sampled_from(["tools/t-1", "tools/t-2"])),
    terms("ids", st.just(Operator.HAS), KEYS),
    terms("ids.erp", st.sampled_from(Operator), NOTES),
    st.builds(lambda value: Comparison(("ids", "a.b"), Operator.EQUAL, value), NOTES),
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(lambda parts: And(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
        | st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=6,
)


# The same in plain Python.

FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
PYTHON: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
    Operator.HAS: lambda mine, part: part.translate(FOLD) in mine.translate(FOLD),
}
READ: dict[str, Callable[[str], Any]] = {
    "number": float,
    "real": float,
    "flag": lambda value: value == "true",
    "time": datetime.fromisoformat,
    "size": lambda value: round(float(value[:-2]) * (25.4 if value[-2:] == "in" else 1), 6),
    "condition": lambda value: value.removeprefix("TOOL_CONDITION_"),
    "tool": lambda value: value.removeprefix("tools/"),
}
MINE: dict[str, Callable[[Thing], Any]] = {
    "size": lambda thing: None if thing.size is None else round(thing.size.mm, 6),
    "condition": lambda thing: None if thing.condition is None else thing.condition.value,
    "tool": lambda thing: thing.tool_id,
}


def mine(thing: Thing, name: str) -> Any:
    return MINE[name](thing) if name in MINE else getattr(thing, name)


def holds(expression: Expression, thing: Thing) -> bool:
    if isinstance(expression, Not):
        return not holds(expression.inner, thing)
    if isinstance(expression, And):
        return all(holds(part, thing) for part in expression.parts)
    if isinstance(expression, Or):
        return any(holds(part, thing) for part in expression.parts)
    name, *key = expression.path
    if name == "ids":
        if not key:
            return expression.value in (thing.ids or {})
        value = (thing.ids or {}).get(key[0])
    else:
        value = mine(thing, name)
    if value is None:
        return False
    wanted = READ.get(name, str)(expression.value)
    return PYTHON[expression.operator](value, wanted)


@pytest.fixture
async def things(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with the table of things."""
    monkeypatch.setitem(FIELDS, THING.resource_type, THING_FIELDS)
    await store.run_write(lambda connection: THINGS.create(connection))
    return store


async def keep(store: Store, rows: Sequence[Thing]) -> None:
    """Have these things and no others."""
    made = [{"organization_id": ORGANIZATION, **THING.mapper.to_row(thing)} for thing in rows]
    # Another organization's rows would pass each filter too.
    made += [{**each, "organization_id": "other"} for each in made]

    def body(connection: Any) -> None:
        connection.execute(delete(THINGS))
        if made:
            connection.execute(insert(THINGS), made)

    await store.run_write(body)


async def listed(
    store: Store, noun: Noun[Any], filter_text: str = "", order_text: str = "", limit: int = 99
) -> list[Any]:
    """All pages of a list."""
    return await store.read(
        ORGANIZATION, lambda reader: pages(reader, noun, filter_text, order_text, limit)
    )


def pages(
    reader: Reader, noun: Noun[Any], filter_text: str = "", order_text: str = "", limit: int = 99
) -> list[Any]:
    """All pages of a list, within a transaction."""
    listing = Listing.parse(noun, filter_text, order_text)
    repository: Repository[Any] = Repository(reader, noun)
    seen: list[Any] = []
    after: list[Any] | None = None
    while True:
        page = repository.page(after=after, limit=limit, listing=listing)
        seen += [resource for resource, _ in page]
        if len(page) < limit:
            return seen
        after = through_a_token(page[-1][1])


def through_a_token(key: list[Any]) -> list[Any]:
    """A page token is JSON, in which times have a form of their own."""
    times = [isinstance(part, datetime) for part in key]
    plain = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    again = json.loads(json.dumps(plain))
    return [
        datetime.fromisoformat(part) if is_time else part
        for part, is_time in zip(again, times, strict=True)
    ]


@FEW
@given(rows=THING_ROWS, expressions=st.lists(EXPRESSIONS, min_size=1, max_size=8))
async def test_a_filter_finds_what_python_finds(
    things: Store, rows: list[Thing], expressions: list[Expression]
) -> None:
    await keep(things, rows)
    in_order = sorted(rows, key=lambda thing: thing.id)

    def ask(reader: Reader) -> None:
        for expression in expressions:
            expected = [thing for thing in in_order if holds(expression, thing)]
            assert pages(reader, THING, to_text(expression)) == expected, to_text(expression)

    await things.read(ORGANIZATION, ask)


ORDERABLE = [name for name, field in THING_FIELDS.items() if field.order is not None]


@FEW
@given(
    rows=THING_ROWS,
    names=st.lists(st.sampled_from(ORDERABLE), min_size=1, max_size=5, unique=True),
    down=st.lists(st.booleans(), min_size=5, max_size=5),
    limit=st.integers(1, 5),
)
async def test_pages_hold_every_row_once_in_the_order_asked_for(
    things: Store, rows: list[Thing], names: list[str], down: list[bool], limit: int
) -> None:
    await keep(things, rows)
    asked = list(zip(names, down, strict=False))
    expected = sorted(rows, key=lambda thing: thing.id)
    for name, descending in reversed(asked):
        present = [thing for thing in expected if value_of(thing, name) is not None]
        absent = [thing for thing in expected if value_of(thing, name) is None]
        # Python keeps equal ones in their order, also in reverse.
        present.sort(key=lambda thing, name=name: value_of(thing, name), reverse=descending)  # type: ignore[misc]
        expected = present + absent
    order_text = ", ".join(f"{name} desc" if each else name for name, each in asked)
    assert await listed(things, THING, "", order_text, limit) == expected


def value_of(thing: Thing, name: str) -> Any:
    if name == "size":
        return None if thing.size is None else thing.size.mm
    return mine(thing, name)


ABSENT = Thing("x", None, None, None, None, None, None, None, None, None)


@pytest.mark.parametrize(
    "term",
    [
        *["note = drill", "note != drill", "note:drill", "number < 1", "number != 1"],
        *["real >= 0", "flag = true", "flag != true", 'time != "2026-03-01T00:00:00Z"'],
        *["size != 6mm", "size <= 6mm", "condition != BROKEN", "tool != tools/t-1"],
        *["ids:erp", "ids.erp = 1", "ids.erp != 1"],
    ],
)
async def test_a_comparison_with_what_is_absent_is_false_and_its_negation_true(
    things: Store, term: str
) -> None:
    await keep(things, [ABSENT])
    assert await listed(things, THING, term) == []
    assert await listed(things, THING, f"NOT {term}") == [ABSENT]
    assert await listed(things, THING, f"-({term} OR {term})") == [ABSENT]


async def test_an_empty_id_names_nothing(things: Store) -> None:
    nameless = replace(ABSENT, tool_id="")
    await keep(things, [nameless])
    assert await listed(things, THING, "tool != tools/t-1") == []
    assert await listed(things, THING, "NOT tool = tools/t-1") == [nameless]


SIMILAR = [
    "100",
    "100%",
    "DRILL",
    "Drill 6",
    "K",
    "a/b",
    "aXb",
    "a_b",
    "a\\b",
    "k",
    "Ä",
    "ä",
    "\u212a",
]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ('note:"0%"', ["100%"]),
        ("note:a_b", ["a_b"]),
        ("note:A/B", ["a/b"]),
        (r'note:"a\\"', ["a\\b"]),
        ("note:drill", ["DRILL", "Drill 6"]),
        ("note = drill", []),
        ("note:k", ["K", "k"]),
        ("note:ä", ["ä"]),
        ("note:\u212a", ["\u212a"]),
        ("note < a", ["100", "100%", "DRILL", "Drill 6", "K"]),
        ("note > ä", ["\u212a"]),
    ],
)
async def test_texts_compare_by_code_and_are_searched_without_wildcards(
    things: Store, term: str, expected: list[str]
) -> None:
    await keep(things, [replace(ABSENT, id=note, note=note) for note in SIMILAR])
    assert [thing.note for thing in await listed(things, THING, term)] == expected


def test_no_locale_decides() -> None:
    listing = Listing.parse(nouns.TOOL, "uid < a display_name:a", "display_name")
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for clause in (*listing.conditions, listing.order[0].clause):
        sql = str(clause.compile(dialect=dialect))
        assert sql.count('COLLATE "C"') == sql.count("LIKE") + sql.count("<") + sql.count("ASC")


async def test_lengths_that_differ_by_rounding_only_are_equal(things: Store) -> None:
    third = replace(ABSENT, size=Length.parse("0.3", LengthUnit.INCH))
    await keep(things, [third])
    for term in ("size = 7.62mm", "size >= 7.62mm", "size <= 0.3in", "size < 7.63mm"):
        assert await listed(things, THING, term) == [third], term
    for term in ("size != 7.62mm", "size > 7.62mm", "size < 7.62mm", "size = 7.621mm"):
        assert await listed(things, THING, term) == [], term


# The fields of the contract.

ENTRY = f"machines/{MACHINE}/toolTableEntries"


@pytest.mark.parametrize(
    ("noun", "filter_text", "expected"),
    [
        (nouns.MACHINE, "register_profile.confirmed = true kind = MILL", [MACHINE]),
        (nouns.MACHINE, "name = machines/mill-1 length_unit = LENGTH_UNIT_MILLIMETER", [MACHINE]),
        (nouns.MACHINE, "NOT wear_band > 0mm", [MACHINE]),
        (nouns.TOOL, "kind = FLAT_END_MILL", ["tool-1", "tool-2"]),
        (nouns.TOOL, "name = tools/tool-1 OR uid = x", ["tool-1"]),
        (nouns.TOOL, "geometry.diameter = 6mm OR diameter = 6mm", []),
        (nouns.TOOL_TABLE_ENTRY, f"name = {ENTRY}/2", ["2"]),
        (nouns.TOOL_TABLE_ENTRY, "tool_number <= 1", ["1"]),
        (nouns.TOOL_TABLE_ENTRY, "diameter_geometry < 0.25in length_geometry > 5cm", None),
        (nouns.TOOL_TABLE_ENTRY, "diameter_geometry < 0.25in", ["1", "2"]),
        (nouns.BINDING, f"entry = {ENTRY}/2 state = BINDING_STATE_CONFIRMED", ["tool-2"]),
        (nouns.BINDING, "tool != tools/tool-2", ["tool-1"]),
        (nouns.BINDING, 'NOT end_time > "0001-01-01T00:00:00Z"', ["tool-1", "tool-2"]),
        (nouns.PROGRAM, "unit_state = STATED length_unit = MILLIMETER", [PROGRAM]),
        (nouns.PROGRAM, 'program_number = "" size_bytes = 100 display_name:PART', [PROGRAM]),
        (nouns.TOOL_SET, "kind = JOB name = toolSets/job-7", ["job-7"]),
        (nouns.PROGRAM_PIN, f"program = programs/{PROGRAM}", [PROGRAM]),
        (nouns.JOB, f"program = programs/{PROGRAM} state = ACTIVE", ["op10"]),
        (nouns.JOB, 'activate_time > "2020-01-01T00:00:00+02:00"', ["op10"]),
    ],
)
async def test_resources_are_found_by_what_their_messages_show(
    store: Store, noun: Noun[Any], filter_text: str, expected: list[str] | None
) -> None:
    await furnish(store)
    if expected is None:
        with pytest.raises(InvalidArgumentError, match="without a unit"):
            Listing.parse(noun, filter_text)
        return
    found = await listed(store, noun, filter_text)
    own = {
        nouns.TOOL_TABLE_ENTRY.cls: "address",
        nouns.BINDING.cls: "tool_id",
        nouns.PROGRAM_PIN.cls: "program_id",
    }
    assert [getattr(each, own.get(noun.cls, "id")) for each in found] == expected


async def test_users_are_found_by_who_they_are_until_it_is_erased(store: Store) -> None:
    def make(tx: Transaction) -> None:
        for user_id in ("jo", "gone"):
            tx.users.insert(User(user_id))
        tx.people.put("jo", Person("Jo@Example.com", "Jo Smith"))

    await write(store, make)
    for text in ('email = "Jo@Example.com"', "display_name:smith disabled = false", "email:@"):
        assert [user.id for user in await listed(store, nouns.USER, text)] == ["jo"], text
    assert [user.id for user in await listed(store, nouns.USER, "", "email desc")] == ["jo", "gone"]
    for text in ("password_hash:x", "email_key:x"):
        with pytest.raises(InvalidArgumentError, match="is none of the fields"):
            Listing.parse(nouns.USER, text)


async def test_keys_are_found_and_their_secrets_are_not(store: Store) -> None:
    found = await listed(store, nouns.API_KEY, 'NOT revoke_time > "0001-01-01T00:00:00Z"')
    assert len(found) == 1
    for text in ("secret_hash = x", "secret_hash:x", "id = x", "organization_id = x"):
        with pytest.raises(InvalidArgumentError, match="is none of the fields"):
            Listing.parse(nouns.API_KEY, text)


async def test_entries_are_found_by_the_read_time_that_lists_show(store: Store) -> None:
    await furnish(store)
    await write(store, push(row(1, "6.0"), row(2, "6.0"), mode=PushMode.SNAPSHOT))

    def query(reader: Reader) -> datetime:
        stored = reader.entries.where()
        shown = as_last_read(reader, MACHINE, stored)
        assert {entry.read_time for entry in stored} != {entry.read_time for entry in shown}
        return shown[0].read_time

    shown = (await store.read(ORGANIZATION, query)).isoformat()
    same = f'read_time = "{shown}"'
    assert len(await listed(store, nouns.TOOL_TABLE_ENTRY, same, "read_time desc", 1)) == 2
    assert await listed(store, nouns.TOOL_TABLE_ENTRY, f"NOT {same}") == []


EXAMPLES = {
    "string": "x%",
    "number": "1.5",
    "boolean": "true",
    "time": "0001-01-01T00:00:00Z",
    "length with unit": "6mm",
    "map of strings": "erp",
}


def example_of(field: Field) -> str:
    if field.kind == "enum":
        return f"{field.prefix}_{field.choices[-1]}"
    if field.kind == "resource name":
        for name in (
            "tools/x",
            "toolTypes/x",
            "machines/x",
            "programs/x",
            "toolSets/x",
            "apiKeys/x",
            "users/x",
        ):
            for end in ("", "/toolTableEntries/x~2F1", "/jobs/x", "/bindings/x", "/programPins/x"):
                try:
                    field.condition(Operator.EQUAL, name + end)
                except ValueError:
                    continue
                return name + end
    return EXAMPLES[field.kind]


@pytest.mark.parametrize("resource_type", LISTED, ids=lambda each: each.name.lower())
async def test_every_field_can_be_asked_for_and_ordered_by(
    store: Store, resource_type: ResourceType
) -> None:
    await furnish(store)
    noun = BY_TYPE[resource_type]

    def ask(reader: Reader) -> None:
        everything = pages(reader, noun)
        assert everything
        for name, field in FIELDS[resource_type].items():
            for how in field.operators:
                term = to_text(Comparison(tuple(name.split(".")), how, example_of(field)))
                found = pages(reader, noun, term) + pages(reader, noun, f"NOT {term}")
                assert sorted(map(repr, found)) == sorted(map(repr, everything)), term
            if field.order is not None:
                for direction in ("asc", "desc"):
                    found = pages(reader, noun, "", f"{name} {direction}", 1)
                    assert sorted(map(repr, found)) == sorted(map(repr, everything)), name

    await store.read(ORGANIZATION, ask)


@pytest.mark.parametrize("resource_type", LISTED, ids=lambda each: each.name.lower())
def test_every_field_is_one_of_the_message(resource_type: ResourceType) -> None:
    message, _ = LISTED[resource_type]
    assert set(LISTED) == set(FIELDS)
    for name, field in FIELDS[resource_type].items():
        descriptor = message.DESCRIPTOR
        *outer, last = name.split(".")
        for part in outer:
            descriptor = descriptor.fields_by_name[part].message_type
        found = descriptor.fields_by_name[last]
        assert kind_of(found) in (field.kind, {"resource name": "string"}.get(field.kind)), name
        if found.enum_type is not None:
            values = [f"{field.prefix}_{each}" for each in ("UNSPECIFIED", *field.choices)]
            assert sorted(each.name for each in found.enum_type.values) == sorted(values), name


def kind_of(found: Any) -> str:
    if found.message_type is not None:
        kinds = {"Timestamp": "time", "Length": "length with unit"}
        kinds["ExternalIdsEntry"] = "map of strings"
        return kinds[found.message_type.name]
    if found.enum_type is not None:
        return "enum"
    if found.type == found.TYPE_STRING:
        return "string"
    return "boolean" if found.type == found.TYPE_BOOL else "number"


# What is refused, and why.


@pytest.mark.parametrize(
    ("filter_text", "words"),
    [
        ("uid = 1 AND colour = red", 'character 13: "colour" is none of the fields name (resource'),
        ("colour = red", "geometry.diameter (length with unit)"),
        ("geometry = 1", '"geometry" is none of the fields'),
        ("geometry.colour = 1", '"geometry.colour" is none of the fields'),
        ("display_name.x = 1", '"display_name.x" is none of the fields'),
        ("diameter > 6", 'character 12: diameter: "6" is a length without a unit; write 6mm'),
        ("diameter > xmm", "'x' is not a decimal number"),
        ("diameter > 9999in", "is longer than 5 m"),
        ("diameter:6mm", "diameter (length with unit) takes only = != < <= > >=."),
        ("condition = broken", '"broken" is none of AVAILABLE, LOCKED, BROKEN'),
        ("condition = TOOL_KIND_DRILL", "is none of AVAILABLE"),
        ("condition < BROKEN", "condition (enum) takes only = !=."),
        ("flute_count = four", '"four" is no decimal number'),
        ("flute_count = 1e3", "is no decimal number"),
        ("flute_count > 9999999999999999", "is beyond 10^15"),
        ("name = em-6", '"em-6" is no resource name like tools/x'),
        ("name = machines/em-6", "is no resource name like tools/x"),
        ("create_time > 2026", "is no RFC 3339 time in quotes"),
        ('create_time > "2026-02-30T00:00:00Z"', "is no RFC 3339 time"),
        ('create_time > "2026-02-03T00:00:00"', "is no RFC 3339 time"),
        ('create_time > "0001-01-01T00:00:00+10:00"', "is no RFC 3339 time"),
    ],
)
def test_what_a_field_cannot_be_asked_is_refused_with_what_it_can(
    filter_text: str, words: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        Listing.parse(nouns.TOOL, filter_text)
    (violation,) = refused.value.violations
    assert violation.field == "filter"
    assert words in violation.description


@pytest.mark.parametrize(
    ("filter_text", "words"),
    [
        ("ids = 1", "ids (map of strings) takes only :. ids.KEY = VALUE compares"),
        ('ids:"a b"', 'character 5: ids: "a b" is no key'),
        ('ids."\'" = 1', 'character 1: ids: "\'" is no key'),
        ("ids.a.b = 1", '"ids.a.b" is none of the fields'),
        ("flag = yes", '"yes" is neither true nor false'),
    ],
)
def test_keys_and_booleans_are_checked(
    monkeypatch: pytest.MonkeyPatch, filter_text: str, words: str
) -> None:
    monkeypatch.setitem(FIELDS, THING.resource_type, THING_FIELDS)
    with pytest.raises(InvalidArgumentError) as refused:
        Listing.parse(THING, filter_text)
    assert words in refused.value.message


@pytest.mark.parametrize("address", ["5~2", "5~41", "~00", "~ff", "5/6"])
def test_an_entry_is_named_by_an_escaped_address(address: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is no resource name like machines/x/"):
        Listing.parse(nouns.BINDING, f"entry = {ENTRY}/{address}")


def test_every_refusal_fits_into_the_details_of_a_status() -> None:
    for resource_type in LISTED:
        with pytest.raises(InvalidArgumentError) as refused:
            Listing.parse(BY_TYPE[resource_type], "x" * 1_900 + " = 1")
        assert len(refused.value.message) < 2_000


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()])  # type: ignore[no-untyped-call]
def test_values_are_bound_parameters(dialect: Any) -> None:
    def sql(value: str) -> str:
        text = f'display_name = "{value}" display_name:"{value}" uid < "{value}"'
        (condition,) = Listing.parse(nouns.TOOL, text).conditions
        return str(condition.compile(dialect=dialect))

    assert sql("needle") == sql("'; DROP TABLE tool; --") == sql("%_/") == sql("")
    assert "needle" not in sql("needle")


async def test_a_list_without_filter_and_order_is_the_list_as_it_was(
    database: Database,
) -> None:
    await furnish(database.store)

    def query(reader: Reader) -> None:
        for noun in (nouns.TOOL_TABLE_ENTRY, nouns.JOB, nouns.TOOL):
            repository = Repository(reader, noun)
            listing = Listing.parse(noun)
            for after in (None, repository.page(after=None, limit=1)[0][1]):
                assert repository.page(after=after, limit=9, listing=listing) == repository.page(
                    after=after, limit=9
                )

    await database.store.read(ORGANIZATION, query)
