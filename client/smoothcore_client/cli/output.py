"""What the commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.message import Message

from smoothcore_client.cli.wording import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.text import Text

# Wide enough that a table in a pipe or a file is never folded, unless COLUMNS asks for it.
_UNFOLDED = 4000


@dataclass(frozen=True, slots=True)
class Styled:
    """A text with a style of rich."""

    text: str
    style: str


Cell = str | Styled


class Output:
    """Prints to stdout: either for people, or as JSON with one object per line."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        """Whether to print JSON."""

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        class Told(Console):
            def on_broken_pipe(self) -> None:
                # Not an exit code of 1, which says that something is not ready.
                raise BrokenPipeError

        asked = os.environ.get("COLUMNS", "")
        by_itself = sys.stdout.isatty() or asked.isdecimal()
        return Told(highlight=False, markup=False, width=None if by_itself else _UNFOLDED)

    def object(self, message: Message) -> None:
        """A message as one line of protobuf JSON, with the fields that are 0, false or empty."""
        line = json_format.MessageToJson(
            message,
            indent=None,
            ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"),
            always_print_fields_with_no_presence=True,
        )
        print(line, flush=True)

    def line(self, *cells: Cell) -> None:
        """One line for people, from cells beside each other."""
        from rich.text import Text

        whole = Text("  ").join(_text(cell) for cell in cells if not isinstance(cell, str) or cell)
        self._console.print(whole, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Cell]], empty: str) -> None:
        """A table for people; ``empty`` is said when there is no row."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_text(cell) for cell in row))
        if table.row_count:
            self._console.print(table)
        else:
            self.line(Styled(empty, "dim"))

    def fields(self, pairs: Iterable[tuple[str, Cell]]) -> None:
        """Labels and values below each other; empty values are left out."""
        from rich.table import Table

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for label, value in pairs:
            if value:
                table.add_row(label, _text(value))
        self._console.print(table)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None] | None]:
        """A bar on stderr while stdout is a terminal; None where nobody looks."""
        if self.json or not sys.stdout.isatty():
            yield None
            return
        from rich import progress
        from rich.console import Console

        with progress.Progress(
            *progress.Progress.get_default_columns(),
            progress.DownloadColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bar:
            task = bar.add_task(clean(label), total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def note(text: str) -> None:
    """A remark that is no result: on stderr."""
    print(clean(text), file=sys.stderr, flush=True)


def _text(cell: Any) -> Text:
    from rich.text import Text

    if isinstance(cell, Styled):
        return Text(clean(cell.text), style=cell.style)
    return Text(clean(str(cell)))
