"""One command in several processes: the first speaks and writes, the others work along.

Progress lines go to standard output, or to standard error where standard output is kept for JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from eyebright_learning.training.parallel import Parallel


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a command says and writes, once.

    Attributes:
        parallel: The processes that run the command together.
        as_json: Whether standard output is for one JSON object alone.
    """

    parallel: Parallel
    as_json: bool

    def first_then_all(self, write: Callable[[], object]) -> None:
        """Run ``write`` in the first process; return in all of them when it is done."""
        self.parallel.wait()  # everybody has looked at the folder before it changes
        if self.parallel.is_first:
            write()
        self.parallel.wait()

    def note(self, line: str) -> None:
        """Print one line of progress."""
        if self.parallel.is_first:
            typer.echo(line, err=self.as_json)

    def show(self, document: str, *text: str | Table) -> None:
        """Print the result: the JSON document, or the text."""
        if not self.parallel.is_first:
            return
        if self.as_json:
            typer.echo(document)
            return
        console = Console(soft_wrap=True, highlight=False, markup=False)
        for part in text:
            console.print(part)

    def warn(self, line: str) -> None:
        """Print something nobody may miss."""
        if self.parallel.is_first:
            typer.secho(line, err=True, fg=typer.colors.RED, bold=True)
