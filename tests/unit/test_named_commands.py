"""Every command that a text names exists: what a person is told to do next can be done."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import smoothcore_client
import smoothcore_server
from smoothcore_client.cli.app import app

ROOT = typer.main.get_command(app)
COMMAND = re.compile(r"\bsmooth ((?:[a-z][a-z-]+ ?)+)")
OPTION = re.compile(r"(?<!\w)--[a-z][a-z-]+")


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the code that names a command, with where it stands. A value within a text
    is an X."""
    for package in (smoothcore_server, smoothcore_client):
        for path in Path(str(package.__file__)).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                text = _text(node)
                if COMMAND.search(text):
                    yield f"{path.name}:{getattr(node, 'lineno', 0)}", text


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "X" for part in node.values)
    return ""


def unknown_in(text: str) -> list[str]:
    """The commands and options in a text that the command ``smooth`` does not have."""
    wrong = []
    for match in COMMAND.finditer(text):
        words = match[1].split()
        command: Any = ROOT
        path = ["smooth"]
        for word in words:
            below = getattr(command, "commands", None)
            if not below:
                break
            if word not in below:
                wrong.append(" ".join([*path, word]))
                break
            command, path = below[word], [*path, word]
        rest = re.split(r"\bsmooth |[;,.)]\s|\)$", text[match.start() + 7 :])[0]
        known = {flag for each in (ROOT, command) for part in each.params for flag in part.opts}
        wrong += [f"{' '.join(path)} {flag}" for flag in OPTION.findall(rest) if flag not in known]
    return wrong


def test_every_command_that_a_text_names_exists() -> None:
    unknown = [(where, unknown_in(text)) for where, text in texts()]
    assert [each for each in unknown if each[1]] == []


def examples() -> list[str]:
    """What follows ``smooth`` in the examples of the helps."""
    every = "\n".join(text for _, text in texts())
    return re.findall(r"^ +Example: smooth (.+)$", every, re.MULTILINE)


def test_an_example_of_a_help_is_right_use() -> None:
    for example in examples():
        command: Any = ROOT
        words = shlex.split(example)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(example, words)


def test_whoever_begins_finds_examples() -> None:
    found = examples()
    for command in ("machines create", "table push", "adopt", "jobs create", "verify", "login"):
        assert any(each.startswith(command) for each in found), command


def test_a_text_that_names_what_does_not_exist_would_be_found() -> None:
    assert unknown_in("pin it: smooth pinn mill-1 PROGRAM") == ["smooth pinn"]
    assert unknown_in("smooth sets mend X") == ["smooth sets mend"]
    assert unknown_in("smooth jobs create X --tools S") == ["smooth jobs create --tools"]
    assert unknown_in("smooth jobs create X --tool-set S, or smooth pin X Y") == []
    assert len(list(texts())) > 30
