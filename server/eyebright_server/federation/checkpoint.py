"""A run on disk after every round, so that killing the server costs at most the round in progress.

::

    FOLDER/federation.json              written last: plan, initial weights, records, digests of the files below
    FOLDER/weights-0003.safetensors     the student after round 3
    FOLDER/strategy-0003.safetensors    moments of a server optimiser, for the strategies that have any

* ``federation.json`` names its files by digest and is replaced atomically; until then the previous round stands. Files
  it no longer names are removed afterwards.
* The weights of the best round so far are kept beside those of the last.
* A checkpoint belongs to one plan, one set of initial weights and one number of hospitals. Another run's is refused.
* Arrays keep every bit, so a resumed run ends with the same weights as one that was never killed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors.numpy import load, save

from eyebright_common.durable import write_bytes, write_json
from eyebright_common.errors import FederationError
from eyebright_server.federation.calibrating import Calibration, tempered
from eyebright_server.federation.records import Arrays, RoundRecord

INDEX = "federation.json"
SCHEMA = 1
_RECORDS = TypeAdapter(tuple[RoundRecord, ...])
_CALIBRATION: TypeAdapter[Calibration | None] = TypeAdapter(Calibration | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Everything the next round depends on.

    Attributes:
        records: Finished rounds.
        weights: The student after the last of them.
        best_round: The best of them.
        best_weights: The student after that one.
        best_counts: Validation counts of the best round by hospital.
        strategy: State of the server optimiser; empty for plain averages.
        calibration: What the hospitals said of the best student at other temperatures; None until they were asked.
    """

    records: tuple[RoundRecord, ...]
    weights: Arrays
    best_round: int
    best_weights: Arrays
    best_counts: dict[int, dict[str, list[int]]] = field(default_factory=dict)
    strategy: Arrays = field(default_factory=dict)
    calibration: Calibration | None = None

    @property
    def student(self) -> Arrays:
        """The run's student: the best round's, calibrated where the hospitals were asked."""
        return tempered(self.best_weights, self.calibration.temperature) if self.calibration else self.best_weights

    @property
    def counts(self) -> dict[int, dict[str, list[int]]]:
        """Its validation counts by hospital; the operating point is chosen from them."""
        return self.calibration.counts if self.calibration else self.best_counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where one run is kept.

    Attributes:
        folder: Its folder; made when the first round is saved.
        plan_digest: The run's plan.
        initial_sha256: Digest of the weights it starts from.
        hospitals: Number of hospitals.
    """

    folder: Path
    plan_digest: str
    initial_sha256: str
    hospitals: int

    def save(self, state: RunState) -> None:
        """Make ``state`` what a later ``load`` returns."""
        number = state.records[-1].round
        files = {
            "weights": self._write(f"weights-{number:04d}.safetensors", state.weights),
            "best": self._write(f"weights-{state.best_round:04d}.safetensors", state.best_weights),
            "strategy": self._write(f"strategy-{number:04d}.safetensors", state.strategy),
        }
        index = {
            "schema": SCHEMA,
            "identity": self._identity(),
            "best_round": state.best_round,
            "best_counts": state.best_counts,
            "calibration": _CALIBRATION.dump_python(state.calibration, mode="json"),
            "files": files,
            "rounds": _RECORDS.dump_python(state.records, mode="json"),
        }
        write_json(self.folder / INDEX, index)
        kept = {entry["name"] for entry in files.values()}
        for path in self.folder.glob("*-[0-9][0-9][0-9][0-9].safetensors"):
            if path.name not in kept:
                path.unlink()

    def load(self) -> RunState | None:
        """Return the last saved state, or None where nothing was saved.

        Raises:
            FederationError: the checkpoint is of another run, or its files are not what was written.
        """
        path = self.folder / INDEX
        if not path.exists():
            return None
        try:
            index = json.loads(path.read_bytes())
            identity, files, records = index["identity"], index["files"], _RECORDS.validate_python(index["rounds"])
            weights, best, strategy = (self._read(files[name]) for name in ("weights", "best", "strategy"))
            best_round = int(index["best_round"])
            counts = {int(site): counted for site, counted in index["best_counts"].items()}
            calibration = _CALIBRATION.validate_python(index.get("calibration"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            raise FederationError(f"the checkpoint cannot be read ({error})", value=path, fix=_FIX) from None
        if identity != self._identity():
            raise FederationError("the checkpoint belongs to another run", value=path, fix=_FIX)
        return RunState(
            records=records,
            weights=weights,
            best_round=best_round,
            best_weights=best,
            best_counts=counts,
            strategy=strategy,
            calibration=calibration,
        )

    def _identity(self) -> dict[str, object]:
        return {"plan": self.plan_digest, "initial": self.initial_sha256, "hospitals": self.hospitals}

    def _write(self, name: str, arrays: Arrays) -> dict[str, str]:
        content = to_bytes(arrays)
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / name
        # The best round's file is usually there already; what counts is what it holds.
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            write_bytes(path, content)
        return {"name": name, "sha256": digest}

    def _read(self, entry: dict[str, str]) -> Arrays:
        content = (self.folder / Path(entry["name"]).name).read_bytes()
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise ValueError(f"{entry['name']} is not what was written")
        return dict(load(content))


_FIX = "Give another folder, or remove this one to start the rounds anew."


def to_bytes(arrays: Arrays) -> bytes:
    """Return the safetensors bytes of ``arrays``, the same for the same arrays in any order."""
    content: bytes = save({name: np.asarray(arrays[name], order="C") for name in sorted(arrays)})
    return content


def weights_digest(arrays: Arrays) -> str:
    """SHA-256 of ``to_bytes``, hex."""
    return hashlib.sha256(to_bytes(arrays)).hexdigest()
