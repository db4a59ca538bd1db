"""Live progress of a study: a bar per wave on a terminal; elsewhere a line now and then, for a log that is read later.

Everything goes to standard error, so that ``--json`` leaves standard output to the result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from eyebright_simulations.network.context import Update

_LINE_EVERY_S = 60.0


class Display:
    """Shows what a study is doing."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def wave(self, title: str) -> Iterator[Update]:
        """Show one wave of jobs; yields what is to be called with the share done and a note."""
        if self.console.is_terminal:
            with self._bar() as progress:
                task = progress.add_task(title, total=1.0, note="")
                yield lambda share, note: progress.update(task, completed=min(max(share, 0.0), 1.0), note=note)
                progress.update(task, completed=1.0, note="")
            return
        started = time.perf_counter()
        yield self._lines(title)
        self._print(f"{title:<40} done, {time.perf_counter() - started:.1f} s")

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description:<40}"),
            BarColumn(bar_width=18),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}[/dim]"),
            console=self.console,
        )

    def _lines(self, title: str) -> Update:
        last = time.perf_counter()

        def show(share: float, note: str) -> None:
            nonlocal last
            if time.perf_counter() - last >= _LINE_EVERY_S:
                last = time.perf_counter()
                self._print(f"{title:<40} {share:4.0%}  {note}")

        return show

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)
