"""The suite sees the bugs that others had: each is put into real servers, and is reported.

That servers without a bug pass is what `test_robustness.py` shows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.robustness.run import Plan, run
from tests.support.postgres import PostgresServer

SEED = 1
BUGS = {
    "ids_at_insert": "reliable",
    "counter_last": "derived",
    "no_poll": "reaching",
}
"""What each breaks."""


# Much longer than on a machine that has nothing else to do.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", BUGS)
async def test_a_server_with_a_known_bug_does_not_pass(
    bug: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    promise = BUGS[bug]
    outcome = await run(
        Plan(
            "postgresql",
            SEED,
            duration_s=2.5,
            pause_s=0.01,
            has_faults=False,
            program=("tests.robustness.broken", bug),
            patience_s=5.0,
        ),
        tmp_path,
        postgres.new_database(),
    )
    found = {violation.promise for violation in outcome.violations}
    assert promise in found, str(outcome)
    assert outcome.kept is not None
    assert outcome.kept.is_file()
