"""The bugs of change feeds that others had: each has a test of its own, named here."""

from __future__ import annotations

import pytest

from tests.packaging.distributions import ROOT

REGRESSIONS = {
    "lost change with two writers": (
        "tests/feed/test_watch_promises.py",
        "test_with_16_writers_every_watch_gets_exactly_what_the_list_says",
    ),
    "lost change with two writers in two processes": (
        "tests/feed/test_other_processes.py",
        "test_two_replicas_push_what_the_other_one_writes",
    ),
    "lost change for a reader that remembers the last revision": (
        "tests/contract/test_log_order.py",
        "test_a_reader_that_remembers_the_last_revision_never_misses_a_change",
    ),
    "progress overtaking an event": (
        "tests/feed/test_watch_promises.py",
        "test_progress_never_overtakes_an_event",
    ),
    "no progress under a filter without matches": (
        "tests/feed/test_watch_promises.py",
        "test_a_watch_whose_filter_matches_nothing_gets_progress_and_keeps_up",
    ),
    "resume exactly at the compaction edge": (
        "tests/feed/test_compaction_edge.py",
        "test_a_watch_resumes_exactly_at_the_compaction_edge",
    ),
    "token of another epoch": (
        "tests/feed/test_token_errors.py",
        "test_a_token_of_a_history_that_a_restore_undid_is_foreign",
    ),
    "change set split across messages and cut in between": (
        "tests/feed/test_watch_split.py",
        "test_a_watch_that_is_cut_between_parts_gets_the_change_set_whole_again",
    ),
    "commit succeeded, reply lost, same request_id": (
        "tests/integration/test_durability.py",
        "test_a_push_whose_server_is_killed_is_whole_or_not_there_and_its_repeat_writes_once",
    ),
    "commit succeeded, its acknowledgement lost": (
        "tests/contract/test_postgres.py",
        "test_a_commit_that_was_done_but_whose_reply_was_lost_succeeds",
    ),
    "SIGTERM with 200 watches": (
        "tests/integration/test_drain.py",
        "test_sigterm_ends_200_watches_in_time_and_they_resume_without_loss_or_repeat",
    ),
    "SIGTERM to several workers": (
        "tests/integration/test_workers.py",
        "test_a_signal_to_the_supervisor_drains_all_workers",
    ),
    "a wake-up that is lost": (
        "tests/robustness/test_broken.py",
        "test_a_server_with_a_known_bug_does_not_pass",
    ),
}


@pytest.mark.parametrize("bug", REGRESSIONS)
def test_a_known_bug_has_its_test(bug: str) -> None:
    file, name = REGRESSIONS[bug]
    assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"
