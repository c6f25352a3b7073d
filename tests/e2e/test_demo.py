"""`make demo` tells its story, and fails when it does not hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    """One run of the demo."""
    return subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_the_demo_holds(demo: subprocess.CompletedProcess[str]) -> None:
    assert demo.returncode == 0, demo.stdout + demo.stderr
    story = ("GEOMETRY_MISMATCH", "SUSPECT", "WRONG_TOOL", " ms ", "PERMISSION_DENIED")
    # Ann may read neither users nor keys, and is told who it was.
    actors = ("  Ann  machines/mill-1/readiness", ", by mill-1-gateway with")
    for word in (*story, *actors):
        assert word in demo.stdout


def test_what_the_readme_shows_of_the_demo_is_what_it_prints(
    demo: subprocess.CompletedProcess[str],
) -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition("## What it looks like")[2].partition("## Run it")[0]
    lines = [
        line
        for block in shown.split("```console\n")[1:]
        for line in block.partition("```")[0].splitlines()
        if line
    ]
    printed = {line.rstrip() for line in demo.stdout.splitlines()}
    assert lines
    assert [line for line in lines if line not in printed] == []
