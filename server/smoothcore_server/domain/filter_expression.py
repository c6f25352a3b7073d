"""Filters of lists: a subset of AIP-160, from text to a tree, and what its values may be.

A filter is made of terms ``FIELD OPERATOR VALUE``, e.g. ``state = SUSPECT``:

- ``=`` ``!=`` ``<`` ``<=`` ``>`` ``>=`` compare. ``:`` asks whether a text holds another (case
  does not count for A to Z) and whether a map has a key: ``display_name:drill``,
  ``external_ids:erp``. A value of a map is compared by its key: ``external_ids.erp = "4711"``.
- ``AND``, ``OR``, ``NOT`` (or ``-``) and parentheses combine terms; two terms side by side are
  both meant. As in AIP-160, **OR binds tighter than AND**: ``a = 1 AND b = 2 OR c = 3`` means
  ``a = 1 AND (b = 2 OR c = 3)``.
- A value is a bare word or stands in double quotes. It needs quotes when it holds a space or one
  of ``( ) " ' = < > ! : , * \\ & |``; in quotes, write ``\\"``, ``\\\\`` and ``\\*``.
- Texts compare by character code, exactly. Numbers are decimals. Booleans are ``true`` and
  ``false``. Times are RFC 3339 in quotes, to the microsecond: ``"2026-03-01T00:00:00Z"``. Enum
  values are written with or without their prefix: ``SUSPECT``, ``BINDING_STATE_SUSPECT``.
- Lengths need a unit: ``6mm``, ``0.25in``. They compare in millimetres, and two that differ by
  no more than 0.000001 mm are equal. The wider tolerance of verification does not count here.
- A comparison with a field that is absent is false, also with ``!=``; NOT of it is true. So
  ``NOT end_time > "0001-01-01T00:00:00Z"`` finds what has no end time.

No wildcards, functions or bare texts to search for. A filter holds at most 2,000 characters, 50
terms, and parentheses nested 10 deep. The error for a wrong field lists those that there are.
"""

from __future__ import annotations

import enum
import re
from dataclasses import field
from typing import TypeAlias

from smoothcore_server.domain.errors import InvalidArgumentError, invalid_field
from smoothcore_server.domain.record import record

MAX_TEXT = 2_000
MAX_TERMS = 50
MAX_NESTING = 10


class Operator(enum.Enum):
    """What a term asks of a field."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    HAS = ":"


@record(frozen=True, slots=True)
class Comparison:
    """``FIELD OPERATOR VALUE``. What the value means is the field's business."""

    path: tuple[str, ...]
    """The field's name by its dots; the key of a map is the last part."""
    operator: Operator
    value: str
    """Without quotes and escapes."""
    position: int = field(default=1, compare=False)
    """Where the field stands in the text, from 1."""
    value_position: int = field(default=1, compare=False)


@record(frozen=True, slots=True)
class Not:
    """What does not fulfil a filter."""

    inner: Expression


@record(frozen=True, slots=True)
class And:
    """What fulfils all of two or more filters."""

    parts: tuple[Expression, ...]


@record(frozen=True, slots=True)
class Or:
    """What fulfils one of two or more filters."""

    parts: tuple[Expression, ...]


Expression: TypeAlias = Comparison | Not | And | Or

_OPERATORS = "=, !=, <, <=, >, >= or :"
_WORD_STOPS = r"\s()\"'=<>!:,*\\&|"
_BARE = re.compile(rf"[^{_WORD_STOPS}]+")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_OPERATOR = re.compile("!=|<=|>=|[=<>:]")
_KEYWORDS = ("AND", "OR", "NOT")
_ESCAPED = '"\\*'
# No database stores them all, and nobody types them.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def parse_filter(text: str) -> Expression | None:
    """The tree of a filter; None for an empty one.

    Raises InvalidArgumentError, with the position, for what is no filter.
    """
    if len(text) > MAX_TEXT:
        raise invalid_field("filter", f"has {len(text)} characters; at most {MAX_TEXT} are allowed")
    unusable = _UNUSABLE.search(text)
    if unusable:
        raise refused(unusable.start() + 1, "a control character cannot be used")
    return _Parser(text).parse() if text.strip() else None


def refused(position: int, description: str) -> InvalidArgumentError:
    """The error for what stands at a position of a filter, counted from 1."""
    return invalid_field("filter", f"character {position}: {description}")


def to_text(expression: Expression) -> str:
    """A filter that `parse_filter` makes this tree of."""
    if isinstance(expression, Comparison):
        space = "" if expression.operator is Operator.HAS else " "
        value = _quoted_if(not _is_bare(expression.value), expression.value)
        return f"{_path_text(expression.path)}{space}{expression.operator.value}{space}{value}"
    if isinstance(expression, Not):
        return f"NOT {_inner_text(expression.inner, And | Or | Not)}"
    if isinstance(expression, And):
        return " AND ".join(_inner_text(part, And) for part in expression.parts)
    return " OR ".join(_inner_text(part, And | Or) for part in expression.parts)


def _inner_text(expression: Expression, in_parentheses: object) -> str:
    text = to_text(expression)
    return f"({text})" if isinstance(expression, in_parentheses) else text  # type: ignore[arg-type]


def _path_text(path: tuple[str, ...]) -> str:
    return ".".join([path[0], *[_quoted_if(not _KEY.fullmatch(key), key) for key in path[1:]]])


def _is_bare(value: str) -> bool:
    return _BARE.fullmatch(value) is not None and value not in _KEYWORDS


def _quoted_if(condition: bool, text: str) -> str:
    return '"' + re.sub(r'(["\\*])', r"\\\1", text) + '"' if condition else text


def shown(text: str) -> str:
    """A caller's text for an error message, cut to what a person reads."""
    return f'"{text}"' if len(text) <= 40 else f'"{text[:40]}…"'


class _Parser:
    """By recursive descent, one method per rule of AIP-160's grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._terms = 0
        self._depth = 0

    def parse(self) -> Expression:
        expression = self._expression()
        if self._at < len(self._text):  # An expression ends nowhere else.
            raise self._error("this ) closes nothing")
        return expression

    def _expression(self) -> Expression:
        parts = [self._factor()]
        while self._keyword("AND") or self._next() not in ("", ")"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _factor(self) -> Expression:
        parts = [self._term()]
        while self._keyword("OR"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _term(self) -> Expression:
        negated = self._keyword("NOT")
        if not negated and self._next() == "-":
            self._at += 1
            negated = True
        inner = self._group() if self._next() == "(" else self._comparison()
        return Not(inner) if negated else inner

    def _group(self) -> Expression:
        opened = self._at
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self._error(f"parentheses are nested deeper than {MAX_NESTING}")
        self._at += 1
        inner = self._expression()
        if self._next() != ")":
            raise self._error("this ( is never closed", opened)
        self._at += 1
        self._depth -= 1
        return inner

    def _comparison(self) -> Comparison:
        self._next()
        start = self._at
        path = self._path()
        self._next()
        operator = _OPERATOR.match(self._text, self._at)
        if operator is None:
            raise self._no_operator(path, start)
        self._at = operator.end()
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self._error(f"more than {MAX_TERMS} terms", start)
        self._next()
        value_at = self._at
        value = self._value()
        return Comparison(path, Operator(operator[0]), value, start + 1, value_at + 1)

    def _path(self) -> tuple[str, ...]:
        first = _FIELD.match(self._text, self._at)
        if first is None or first[0] in _KEYWORDS:
            raise self._error(f"expected a field, e.g. display_name; {self._found()}")
        self._at = first.end()
        path = [first[0]]
        while self._text.startswith(".", self._at):
            self._at += 1
            path.append(self._key())
        return tuple(path)

    def _key(self) -> str:
        if self._text.startswith('"', self._at):
            return self._string()
        key = _KEY.match(self._text, self._at)
        if key is None:
            raise self._error(f"expected a name or a key behind the dot; {self._found()}")
        self._at = key.end()
        return key[0]

    def _value(self) -> str:
        if self._text.startswith('"', self._at):
            value = self._string()
        else:
            bare = _BARE.match(self._text, self._at)
            if bare is None or bare[0] in _KEYWORDS:
                raise self._error(f"expected a value; {self._found()}")
            self._at = bare.end()
            value = bare[0]
        behind = self._text[self._at : self._at + 1]
        if behind and behind != ")" and not behind.isspace():
            raise self._error(
                f'a value ends with a space or ")"; {self._found()}; '
                'one that holds other characters needs double quotes, e.g. "a:b"'
            )
        return value

    def _string(self) -> str:
        start = self._at
        made: list[str] = []
        self._at += 1
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return "".join(made)
            if char == "*":
                raise self._error(self._found())
            if char == "\\":
                self._at += 1
                char = self._text[self._at : self._at + 1]
                if not char or char not in _ESCAPED:
                    raise self._error('in quotes, \\ stands before ", \\ or * only')
            made.append(char)
            self._at += 1
        raise self._error("this quote is never closed", start)

    def _next(self) -> str:
        """Skip spaces; the character behind them, empty at the end."""
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _keyword(self, keyword: str) -> bool:
        """Go behind a keyword if it comes next."""
        self._next()
        word = _BARE.match(self._text, self._at)
        if word is None or word[0] != keyword:
            return False
        self._at = word.end()
        return True

    def _no_operator(self, path: tuple[str, ...], start: int) -> InvalidArgumentError:
        word = ".".join(path)
        if word.upper() in _KEYWORDS:
            return self._error(f"write {word.upper()} in capitals", start)
        return self._error(
            f"expected {_OPERATORS} behind {shown(word)}; {self._found()}. A term is FIELD "
            'OPERATOR VALUE, and a value with spaces needs double quotes, e.g. "6 mm"'
        )

    def _found(self) -> str:
        """What stands here instead, and what to write for it."""
        char = self._text[self._at : self._at + 1]
        word = _BARE.match(self._text, self._at)
        hint = {
            "": "the filter ends here",
            "*": "wildcards are not supported: find a part of a text with FIELD:PART, and write "
            '"\\*" in double quotes for the character',
            "'": "texts stand in double quotes",
            "(": "functions are not supported",
            "&": "write AND",
            "|": "write OR",
        }
        return hint.get(char) or f"found {shown(word[0] if word else char)}"

    def _error(self, description: str, at: int | None = None) -> InvalidArgumentError:
        return refused((self._at if at is None else at) + 1, description)
