"""Live progress of a simulation: one line per stage on a terminal, one printed line per finished stage elsewhere.

Everything goes to standard error, so that ``--json`` leaves standard output to the result.
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

STAGES = {
    "cohort": "Pictures and patients",
    "teacher": "Teacher, and the federation without it",
    "rounds": "Federated rounds, and pooled training",
    "comparison": "The same budget, each hospital alone",
    "release": "Release: export, gate, sign",
    "unit": "Screening unit: pull, prove, screen",
    "report": "Report",
}


class Display:
    """Shows which stage is running, how far it is, and what it said last.

    Use as a context manager.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = console.is_terminal
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description:<50}"),
            BarColumn(bar_width=18),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}[/dim]"),
            console=console,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started = 0.0
        self._stage = ""

    def __enter__(self) -> Display:
        self._progress.start()
        for name, title in STAGES.items():
            self._tasks[name] = self._progress.add_task(title, total=1.0, start=False, note="")
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def begin(self, stage: str) -> None:
        """Say that a stage starts now."""
        self._stage, self._started = stage, time.perf_counter()
        self._progress.start_task(self._tasks[stage])

    def update(self, share: float, note: str = "") -> None:
        """Show the share done (0 to 1) of the running stage, and a short note."""
        self._progress.update(self._tasks[self._stage], completed=min(max(share, 0.0), 1.0), note=note)

    def end(self, note: str = "") -> None:
        """Say that the running stage is finished."""
        self._progress.update(self._tasks[self._stage], completed=1.0, note=note)
        self._progress.stop_task(self._tasks[self._stage])
        if not self._live:
            seconds = time.perf_counter() - self._started
            self.console.print(f"{STAGES[self._stage]:<50} {seconds:7.1f} s  {note}", highlight=False, soft_wrap=True)
