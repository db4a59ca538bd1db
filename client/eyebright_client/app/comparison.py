"""Is the federated student better than one trained here alone? The hospital finds out; a word of it may leave.

* The hospital's own student begins with the weights the federation began with, and has the same pictures, passes and
  schedule. It never leaves and is never averaged.
* Both are measured on the hospital's validation pictures, by balanced accuracy. With fewer than ``_FEWEST`` pictures of
  any class, or a difference that single pictures make, the answer is ``unknown``: a coin would say as much.
* The figures are in ``comparison.jsonl`` in the site's folder. What may leave is yes, no or unknown, if the policy's
  ``fields`` name ``comparison``.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eyebright_common.exchange import BeatsOwn

FILE_NAME = "comparison.jsonl"
_FEWEST = 5


def compared(federated: npt.NDArray[np.int64], own: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> BeatsOwn:
    """Return whether the answers ``federated`` are better than the answers ``own`` for pictures with ``labels``.

    The difference must be that of more than one picture of some class in balance.
    """
    classes = np.unique(labels)
    sizes = [int((labels == c).sum()) for c in classes]
    if len(classes) < 2 or min(sizes) < _FEWEST:
        return BeatsOwn.UNKNOWN
    difference = balanced(federated, labels) - balanced(own, labels)
    least = 1.0 / (len(classes) * min(sizes))
    if abs(difference) <= least * (1 + 1e-9):
        return BeatsOwn.UNKNOWN
    return BeatsOwn.YES if difference > 0 else BeatsOwn.NO


def balanced(answers: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> float:
    """Return the mean, over the classes there are, of the part answered right."""
    return float(np.mean([np.mean(answers[labels == c] == c) for c in np.unique(labels)]))


def write_down(
    site: Path, *, plan: str, round_number: int, verdict: BeatsOwn, federated: float, own: float, pictures: int
) -> None:
    """Add a line to the hospital's own list."""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": plan,
        "round": round_number,
        "federated_beats_own": verdict.name.lower(),
        "balanced_accuracy_federated": federated,
        "balanced_accuracy_own": own,
        "pictures": pictures,
    }
    with (site / FILE_NAME).open("a") as file:
        file.write(json.dumps(line) + "\n")
