"""What commands say with --help."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

from smoothcore_client.cli.app import app as smooth
from smoothcore_server.cli.app import app as smoothd


@pytest.mark.parametrize(("app", "name"), [(smooth, "smooth"), (smoothd, "smoothd")])
def test_each_command_knows_its_version_and_a_short_word_for_help(
    app: typer.Typer, name: str
) -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"{name} {version('smooth-core')}\n")
    for command in ([], ["keys", "create"]):
        assert "--help" in CliRunner().invoke(app, [*command, "-h"]).output


@pytest.mark.parametrize(
    ("app", "command", "words"),
    [
        (smooth, "sets update", "wherever an active job rests on the set."),
        (smoothd, "certs dev", "is thrown away. Nothing is overwritten."),
    ],
)
def test_paragraphs_are_filled_to_the_width_of_the_terminal(
    app: typer.Typer, command: str, words: str
) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "400"})
    assert words in shown.output
