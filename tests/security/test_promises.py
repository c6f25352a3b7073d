"""Every promise of docs/security.md names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = (ROOT / "docs" / "security.md").read_text().split("\n## ")


def rows_of(part: str) -> list[list[str]]:
    """The rows of the table of a part, without its head."""
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


PROMISES = [row for part in PARTS if "| Promise | Test |" in part for row in rows_of(part)]


def test_no_promise_is_without_a_test() -> None:
    assert len(PROMISES) > 50
    for promise, test in PROMISES:
        assert re.fullmatch(r"tests/[\w/]+\.py::test_\w+", test), promise


@pytest.mark.parametrize("named", sorted({test for _, test in PROMISES}))
def test_the_test_that_is_named_exists(named: str) -> None:
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {each.name for each in tree.body if isinstance(each, functions)}
