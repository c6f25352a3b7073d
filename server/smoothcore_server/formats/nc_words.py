"""The blocks of an NC program: their words, comments and O-words (RS-274 and its dialects).

Written after the grammar of LinuxCNC's interpreter (docs: "G-code overview"), with the habits of
Fanuc and Haas programs: blanks are free, letters may be lower case, words may touch
(``N10T3M6G43H3``), ``/`` marks a block that may be skipped and is read as executed, ``:1001`` is
an O-number, ``( )`` and ``;`` open comments.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_MAX_COMMENT = 500
"""A longer comment is no tool comment; its beginning is read."""

_BLANK = " \t"
_VALUE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_NAME = re.compile(r"[A-Z_]{2,}[0-9]*")
_BRANCH = re.compile(r"THEN|ELSE(?!IF)")
_OPERATOR = re.compile(r"\*\*|[*/+-]|(?:MOD|AND|XOR|OR|EQ|NE|GT|GE|LT|LE)(?![A-Z])")
_FUNCTION = re.compile(r"[A-Z]{2,7}(?=[ \t]*\[)")
_LABEL = re.compile(r"[ \t]*(?:/[0-9]?[ \t]*)?(?:N[ \t]*[0-9]+[ \t]*)?")
_UNKNOWN = re.compile(r"[+-]?[ \t]*[#\[]")
_O_NUMBER = re.compile(r"[O:][ \t]*([0-9]{1,20})")
_O_NAME = re.compile(r"O[ \t]*<([^<>]*)>")
_O_VARIABLE = re.compile(r"O[ \t]*(?=[#\[])")
_O_KEYWORD = re.compile(
    r"[ \t]*(SUB|ENDSUB|CALL|RETURN|IF|ELSEIF|ELSE|ENDIF|WHILE|ENDWHILE|DO|REPEAT|ENDREPEAT"
    r"|BREAK|CONTINUE)(?![A-Z])"
)


class Unknown(enum.Enum):
    """The value of a word that only the control knows: ``T#5``, ``H[#1+2]``, ``T="DRILL"``."""

    VALUE = "?"


Value = float | Unknown


@dataclass(frozen=True, slots=True)
class Word:
    """A letter and its value."""

    letter: str
    value: Value
    digits: str = ""
    """The number as printed: ``0505``."""


@dataclass(frozen=True, slots=True)
class OWord:
    """``o100 call``, ``O<probe> sub``, ``O1001``, ``:1001``."""

    name: str
    """In lower case, numbers without leading zeros; empty for a variable: ``o[#1] call``."""
    keyword: str
    """In upper case; empty for a plain program number."""
    digits: str = ""
    """A number as printed: ``0001``."""


@dataclass(frozen=True, slots=True)
class Block:
    """One line of a program."""

    words: tuple[Word, ...] = ()
    comments: tuple[str, ...] = ()
    o_word: OWord | None = None
    unclosed: bool = False
    """Whether a comment in it has no end."""
    conditional: bool = False
    """Whether words in it stand behind THEN or ELSE."""
    code: str = ""
    """The line in upper case, without its comments."""
    values: Mapping[str, frozenset[Value]] = field(default_factory=dict, compare=False)
    """All values of each letter."""

    def find(self, letter: str) -> Word | None:
        """The word with a letter; the last one where there are several, as in LinuxCNC."""
        return next((word for word in reversed(self.words) if word.letter == letter), None)

    def has(self, letter: str, *values: float) -> bool:
        """Whether a G or M code is in the block."""
        return letter in self.values and not self.values[letter].isdisjoint(values)


@functools.lru_cache(maxsize=256)
def read_block(line: str) -> Block:
    """Split a line into its words and comments. Takes time linear in its length."""
    code, comments, unclosed = _take_comments(line)
    if code.lstrip(_BLANK).startswith("%"):
        return Block((), comments, None, unclosed)
    code = code.upper()
    o_word, start = _take_o_word(code, _matched_end(_LABEL, code, 0))
    if o_word is not None and o_word.keyword:
        return Block((), comments, o_word, unclosed, code=code)
    scanner = _Scanner(code, start)
    words = scanner.words()
    values = {
        letter: frozenset(word.value for word in words if word.letter == letter)
        for letter in {word.letter for word in words}
    }
    return Block(words, comments, o_word, unclosed, scanner.conditional, code, values)


def _take_comments(line: str) -> tuple[str, tuple[str, ...], bool]:
    """The code of a line, its comments in order, and whether one of them is not closed."""
    if "(" not in line and ";" not in line:
        return line, (), False
    code: list[str] = []
    comments: list[str] = []
    at = 0
    while at < len(line):
        opening = line.find("(", at)
        rest = line.find(";", at, opening if opening >= 0 else len(line))
        if rest >= 0:
            code.append(line[at:rest])
            comments.append(line[rest + 1 : rest + 1 + _MAX_COMMENT].strip())
            return " ".join(code), tuple(comments), False
        if opening < 0:
            code.append(line[at:])
            break
        code.append(line[at:opening])
        closing = line.find(")", opening)
        end = closing if closing >= 0 else len(line)
        comments.append(line[opening + 1 : min(end, opening + 1 + _MAX_COMMENT)].strip())
        if closing < 0:
            return " ".join(code), tuple(comments), True
        at = closing + 1
    return " ".join(code), tuple(comments), False


def _take_o_word(code: str, start: int) -> tuple[OWord | None, int]:
    """An O-word at the start of a block, and where the block goes on."""
    number = _O_NUMBER.match(code, start)
    name = _O_NAME.match(code, start)
    variable = _O_VARIABLE.match(code, start)
    if number:
        label, end = number[1].lstrip("0") or "0", number.end()
    elif name:
        label, end = "".join(name[1].lower().split()), name.end()
    elif variable:
        label, end = "", _Scanner(code, variable.end()).skip_value()
    else:
        return None, start
    keyword = _O_KEYWORD.match(code, end)
    if keyword:
        return OWord(label, keyword[1]), keyword.end()
    if number:
        return OWord(label, "", number[1]), end
    return None, end


def _matched_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


class _Scanner:
    """Reads the words of a block; `at` only ever moves forward."""

    def __init__(self, code: str, at: int) -> None:
        self.code = code
        self.at = at
        self.conditional = False

    def words(self) -> tuple[Word, ...]:
        found: list[Word] = []
        while self.skip_blanks():
            character = self.code[self.at]
            if "A" <= character <= "Z":
                word = self.word(character)
                if word is not None:
                    found.append(word)
            elif character == "#":
                self.assignment()
            elif character == "[":
                self.skip_brackets()
            elif character == '"':
                self.skip_quoted()
            else:
                self.at += 1
        return tuple(found)

    def skip_blanks(self) -> bool:
        """Go to the next character that is no blank; False at the end of the block."""
        while self.at < len(self.code) and self.code[self.at] in _BLANK:
            self.at += 1
        return self.at < len(self.code)

    def word(self, letter: str) -> Word | None:
        """A letter and its value; None for a name such as ``GOTO`` or ``CYCLE800``."""
        name = _NAME.match(self.code, self.at)
        if name:
            # "IF[#1EQ1]THENT3M6": the words behind THEN are words.
            branch = _BRANCH.match(self.code, self.at)
            self.conditional = self.conditional or branch is not None
            self.at = (branch or name).end()
            return None
        self.at += 1
        self.skip_blanks()
        number = _VALUE.match(self.code, self.at)
        if number:
            self.at = number.end()
            # No word has so many digits; Python takes quadratic time to read them.
            digits = number.group()
            return Word(letter, float(digits) if len(digits) <= 40 else Unknown.VALUE, digits)
        if self.code.startswith("=", self.at):
            self.at += 1
            self.skip_blanks()
            return self.after_equals(letter)
        if _UNKNOWN.match(self.code, self.at):
            self.skip_value()
            return Word(letter, Unknown.VALUE)
        return None

    def after_equals(self, letter: str) -> Word:
        """The value of ``T=5`` or ``T="DRILL"``, as Siemens writes words."""
        number = _VALUE.match(self.code, self.at)
        if number and len(number.group()) <= 40:
            self.at = number.end()
            return Word(letter, float(number.group()), number.group())
        self.skip_value()
        return Word(letter, Unknown.VALUE)

    def assignment(self) -> None:
        """``#5 = [#<a> + 3]``: nothing in it is a word."""
        self.skip_value()
        self.skip_blanks()
        if not self.code.startswith("=", self.at):
            return
        self.at += 1
        self.skip_value()
        while self.skip_blanks():
            operator = _OPERATOR.match(self.code, self.at)
            if operator is None:
                return
            self.at = operator.end()
            self.skip_value()

    def skip_value(self) -> int:
        """Pass over a number, a parameter, an expression in brackets or a function of one."""
        while self.skip_blanks() and self.code[self.at] in "#+-":
            self.at += 1
        if self.at >= len(self.code):
            return self.at
        character = self.code[self.at]
        function = _FUNCTION.match(self.code, self.at)
        if function:
            self.at = function.end()
            self.skip_blanks()
            self.skip_brackets()
        elif character == "[":
            self.skip_brackets()
        elif character == "<":
            end = self.code.find(">", self.at)
            self.at = end + 1 if end >= 0 else len(self.code)
        elif character == '"':
            self.skip_quoted()
        else:
            self.at = _matched_end(_VALUE, self.code, self.at)
        return self.at

    def skip_brackets(self) -> None:
        """Pass over ``[...]`` with all that is nested in it; to the end where it is not closed."""
        depth = 0
        while self.at < len(self.code):
            character = self.code[self.at]
            self.at += 1
            if character == "[":
                depth += 1
            elif character == "]":
                depth -= 1
                if depth <= 0:
                    return

    def skip_quoted(self) -> None:
        end = self.code.find('"', self.at + 1)
        self.at = end + 1 if end >= 0 else len(self.code)
