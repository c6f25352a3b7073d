"""The real files of public shops that some tests read.

They are not part of this repository, because many state no licence. The tests that need them
are skipped where they are absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[1] / ".." / "shared" / "corpus"

ROOT = Path(os.environ.get("SMOOTH_CORPUS") or _DEFAULT).resolve()
"""Where the files lie: ``SMOOTH_CORPUS``, else ``../shared/corpus`` beside the checkout."""

requires_corpus = pytest.mark.skipif(
    not ROOT.is_dir(), reason="the corpus is absent; SMOOTH_CORPUS can name its folder"
)


def files(*folders: str) -> list[Path]:
    """All files below the named folders of the corpus, sorted; none where it is absent."""
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()
    )


def name_of(path: Path) -> str:
    """A file's path inside the corpus."""
    return path.relative_to(ROOT).as_posix()
