"""What every stage of a simulation can reach: the options, the folder, what earlier stages found, and the progress bar.

It is plain data but for ``update``, so that a stage can be handed to another process (``workers``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from eyebright_simulations.network.options import SimulationOptions
from eyebright_simulations.network.workspace import Facts

Update = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One simulation in progress.

    Attributes:
        options: What was asked for.
        out: The output folder.
        update: Shows the share done of the running stage (0 to 1) and a short note.
        facts: Facts of the finished stages, by stage name.
    """

    options: SimulationOptions
    out: Path
    update: Update
    facts: dict[str, Facts] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        """Processes for decoding and drawing pictures; more than four gain nothing on one disk."""
        return min(4, os.cpu_count() or 1)
