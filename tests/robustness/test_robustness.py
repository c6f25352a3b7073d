"""Short runs of the robustness suite; `make robustness` has the long ones."""

from __future__ import annotations

import sys

import pytest

from tests.packaging.distributions import ROOT
from tests.robustness.checker import EVERYTHING, check
from tests.robustness.history import Logged, Opened, Received, Write
from tests.robustness.run import SERVERS, Outcome, Plan, run
from tests.robustness.starts import STARTS
from tests.robustness.views import VIEWS

KEPT = ROOT / ".build" / "robustness"
SEED = 1
DURATIONS_S = {"sqlite": 10.0, "postgresql": 12.0}
KILLS = {"sqlite": 3, "postgresql": 4}


# Much longer than on a machine that has nothing else to do.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", SERVERS)
async def test_the_feed_keeps_its_promises_while_faults_happen(
    engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = await run(Plan(engine, SEED, DURATIONS_S[engine], KILLS[engine]), KEPT)
    with capsys.disabled():
        print(f"\n{outcome}", file=sys.stderr)
    assert not outcome.violations, str(outcome)
    check_that_something_happened(outcome)


def check_that_something_happened(outcome: Outcome) -> None:
    """A run in which nobody wrote or nothing failed would prove nothing."""
    history, faults = outcome.history, outcome.faults
    kills = sum(count for name, count in faults.items() if name.startswith("kill "))
    assert kills >= KILLS[outcome.plan.engine]
    assert len(faults) - kills >= 4, "there were hardly any other faults"
    writes = list(history.of(Write))
    assert len({write.writer for write in writes if write.outcome == "ok"}) >= 16
    assert any(write.codes and write.outcome == "ok" for write in writes), "no write was repeated"
    opened = list(history.of(Opened))
    assert {each.view for each in opened} == {view.name for view in VIEWS}
    assert {each.start for each in opened} == {*STARTS, "resumed"}
    assert any(received.sets for received in history.of(Received))
    # The same history without one of its change sets is not found to be whole.
    victim = next(each for each in history.of(Logged) if each.view == EVERYTHING)
    history.events.remove(victim)
    assert check(history)
