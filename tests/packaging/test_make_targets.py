"""The make targets of a release say what they will do, and do it in dist/ only."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.packaging.distributions import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def dry_run(target: str) -> str:
    """What a target would run."""
    # The flags of a make that runs these tests are none of this one's.
    variables = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", target],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheelhouse_holds_wheels_of_the_lock_checked_by_hash_and_our_own() -> None:
    fetch, ours = (
        line
        for line in dry_run("wheelhouse").splitlines()
        if "-d dist/" in line or "-w dist/" in line
    )
    for word in ("pip download", "--require-hashes", "--only-binary :all:", "-r requirements.lock"):
        assert word in fetch
    for word in ("pip wheel", "--no-deps", "--no-build-isolation"):
        assert word in ours


@pytest.mark.parametrize("target", ["dist", "protos-zip", "wheelhouse", "reference", "interop"])
def test_a_target_is_explained_in_the_help_and_names_no_registry(target: str) -> None:
    assert "http" not in dry_run(target)
    assert (
        f"  make {target} "
        in subprocess.run(
            ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    )
