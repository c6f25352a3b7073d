"""The reference in docs/ says of the contract what the protos say, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smoothcore.v1 import error_reason_pb2, verification_report_pb2
from tools import reference

LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference.pages()


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {reference.anchor(heading) for heading in headings}


def test_every_link_leads_to_a_heading(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        for target, place in LINK.findall(text):
            assert target in {"", *pages}, f"{name}: {target}"
            assert not place or place in anchors(pages[target or name]), f"{name}: {place}"


def test_every_method_has_a_heading_its_access_and_a_row_in_the_index(
    pages: dict[str, str],
) -> None:
    methods = list(reference.read_contract().methods())
    assert len(methods) > 30
    for file, service, method, comment in methods:
        _, _, section = pages[file.page].partition(f"\n## {method.name}\n")
        assert "- Access: " in section.partition("\n## ")[0], method.name
        assert comment, method.name
        assert f"{service.name}.{method.name}]" in pages["README.md"]


def test_a_plc_finds_every_verdict_with_its_number(pages: dict[str, str]) -> None:
    for name, number in verification_report_pb2.VerdictCode.items():
        assert f"| {number} | `{name}` |" in pages["verdicts.md"]


def test_every_reason_stands_with_its_status_code(pages: dict[str, str]) -> None:
    for name, number in error_reason_pb2.ErrorReason.items():
        if number:
            row = rf"^\| {number} \| `{name.removeprefix('ERROR_REASON_')}` \| `[A-Z_]+` \| \w"
            assert re.search(row, pages["errors.md"], re.MULTILINE), name


def test_drift_names_pages_that_differ_are_missing_or_are_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "TARGET", tmp_path)
    (tmp_path / "same.md").write_text("same")
    (tmp_path / "other.md").write_text("old")
    (tmp_path / "left.md").write_text("")
    made = {"same.md": "same", "other.md": "new", "missing.md": ""}
    assert reference.drift(made) == ["left.md", "missing.md", "other.md"]
