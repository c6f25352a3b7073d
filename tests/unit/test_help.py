"""What commands say with --help."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from smoothcore_client.cli.app import app as smooth
from smoothcore_server.cli.app import app as smoothd


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
