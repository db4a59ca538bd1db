"""What a hospital keeps of a plan between its rounds: its own batch normalisation, rounding errors, its own student.

::

    SITE/plans/DIGEST/own-0003.safetensors      after round 3

* One file per round, made from that of the round before. Asked for the same round again, after a kill, the hospital
  begins where it began the first time and answers the same.
* The file of the round before is kept, older ones are removed. Nothing of this leaves the hospital.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from eyebright_common.durable import write_bytes
from eyebright_common.plan import Plan

Arrays = dict[str, np.ndarray]
OWN_NORMALISATION = "normalisation"
ROUNDING = "rounding"
OWN_STUDENT = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptArrays:
    """The kept arrays of one plan.

    Attributes:
        folder: Of the site.
        plan: The plan.
    """

    folder: Path
    plan: Plan

    def before(self, what: str, round_number: int) -> Arrays:
        """Return what was kept after the latest round before ``round_number``; empty when nothing was."""
        return self.after(what, round_number - 1)

    def after(self, what: str, round_number: int) -> Arrays:
        """Return what was kept after the latest round up to ``round_number``; empty when nothing was."""
        numbers = [number for number in self._rounds(what) if number <= round_number]
        if not numbers:
            return {}
        try:
            return dict(load(self._path(what, max(numbers)).read_bytes()))
        except (OSError, SafetensorError):
            return {}  # a damaged file is as good as none: every use has a beginning without

    def keep(self, what: str, round_number: int, arrays: Arrays) -> None:
        """Keep arrays as those after ``round_number``."""
        content = save({name: np.asarray(arrays[name], order="C") for name in sorted(arrays)})
        write_bytes(self._path(what, round_number), content, mode=0o600)
        for number in self._rounds(what):
            if number < round_number - 1:
                self._path(what, number).unlink(missing_ok=True)

    def _rounds(self, what: str) -> list[int]:
        found = self._folder.glob(f"{what}-[0-9][0-9][0-9][0-9].safetensors")
        return sorted(int(path.stem.rsplit("-", 1)[1]) for path in found)

    def _path(self, what: str, number: int) -> Path:
        return self._folder / f"{what}-{number:04d}.safetensors"

    @property
    def _folder(self) -> Path:
        return self.folder / "plans" / self.plan.digest()[:16]
