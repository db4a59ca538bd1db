"""How well the quality gate tells ungradable fundus photographs from gradable ones.

AUROC of "reject" against "good" and "usable" on EyePACS photographs with EyeQ grades. The model's terms are fitted
again on each of five patient-grouped folds, so no picture is judged by weights it helped to fit (which measurements
to use was chosen on the same pictures); the interval is a bootstrap over patients. Baseline in the same run: median
brightness alone. The rules of the gate are not measured here.

``--fit`` prints the packaged model's terms fitted on all pictures, for ``quality_gate.json``.
Needs the graded photographs; skips with a reason without them.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from claim import machine
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from eyebright_common.imaging import decode_image, field_of_view
from eyebright_common.imaging.fundus_features import fundus_features
from eyebright_common.imaging.gate import RejectionModel, Term, quality_gate

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "quality"
_FOLDS = 5
_RESAMPLES = 1000
_TARGET = 0.85
_STRENGTH = 0.1

Values = NDArray[np.float64]


def _raw(term: Term, features: dict[str, float]) -> float:
    value = features[term.feature]
    return math.log(max(value, 0.0) + term.log_offset) if term.log_offset else value


def _fit(table: Values, rejected: NDArray[np.bool_]) -> tuple[Values, Values, Values, Values]:
    mean, scale = table.mean(axis=0), table.std(axis=0)
    standard = np.clip((table - mean) / scale, -3, 3)
    model = LogisticRegression(C=_STRENGTH, max_iter=1000).fit(standard, rejected)
    return mean, scale, model.coef_[0], model.intercept_


def _scores(fitted: tuple[Values, Values, Values, Values], table: Values) -> Values:
    mean, scale, weight, intercept = fitted
    return np.asarray(np.clip((table - mean) / scale, -3, 3) @ weight + intercept)


def _interval(rejected: NDArray[np.bool_], scores: Values, patients: NDArray[np.str_]) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    names, member = np.unique(patients, return_inverse=True)
    of_patient = [np.flatnonzero(member == index) for index in range(len(names))]
    found = []
    for _ in range(_RESAMPLES):
        rows = np.concatenate([of_patient[i] for i in generator.integers(0, len(names), len(names))])
        if 0 < rejected[rows].sum() < len(rows):
            found.append(roc_auc_score(rejected[rows], scores[rows]))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def _packaged() -> RejectionModel:
    model = quality_gate().gates["CFP"].model
    assert model is not None, "the packaged gate has a model for fundus photographs"
    return model


def measure(data: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the benchmark's line and the terms fitted on all pictures."""
    model = _packaged()
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pictures = [decode_image(data / row["image_path"]) for row in rows]
    features = [fundus_features(picture, field_of_view(picture)) for picture in pictures]
    table = np.array([[_raw(term, found) for term in model.terms] for found in features])
    rejected = np.array([row["quality"] == "reject" for row in rows])
    patients = np.array([row["patient_id"] for row in rows])
    scores = np.zeros(len(rows))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    for train, held_out in folds.split(table, rejected, patients):
        scores[held_out] = _scores(_fit(table[train], rejected[train]), table[held_out])
    value = float(roc_auc_score(rejected, scores))
    baseline = float(roc_auc_score(rejected, [-found["brightness"] for found in features]))
    low, high = _interval(rejected, scores, patients)
    line = {
        "name": "quality_gate",
        "what": f"AUROC of reject against rest, {len(rows)} graded photographs, {_FOLDS} patient-grouped folds",
        "value": round(value, 4),
        "interval": [round(low, 4), round(high, 4)],
        "unit": "AUROC",
        "baseline": {"name": "median brightness", "value": round(baseline, 4)},
        "ratio": round(value / baseline, 4),
        "target": _TARGET,
        "met": low >= _TARGET,
        "runs": 1,
        "machine": machine(),
    }
    return line, _terms(model, _fit(table, rejected))


def _terms(model: RejectionModel, fitted: tuple[Values, Values, Values, Values]) -> list[dict[str, Any]]:
    terms: list[dict[str, Any]] = [{"intercept": float(fitted[3][0])}]
    for index, term in enumerate(model.terms):
        numbers = {name: float(f"{fitted[k][index]:.5g}") for k, name in enumerate(("mean", "scale", "weight"))}
        terms.append({"feature": term.feature, "reason": term.reason, **numbers, "log_offset": term.log_offset})
    return terms


def main() -> None:
    """Measure, and print one line for people or one object for machines."""
    parser = argparse.ArgumentParser(description="AUROC of the quality gate on graded fundus photographs.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fit", action="store_true", help="print the model's terms fitted on all pictures")
    parser.add_argument("--data", type=Path, default=_DATA, help="folder with manifest.csv and its `quality` column")
    arguments = parser.parse_args()
    if not (arguments.data / "manifest.csv").is_file():
        reason = f"no graded photographs at {arguments.data.name}/manifest.csv"
        print(json.dumps({"name": "quality_gate", "skipped": reason}) if arguments.json else f"skipped: {reason}")
        return
    line, terms = measure(arguments.data)
    if arguments.fit:
        print(json.dumps(terms, indent=1))
    elif arguments.json:
        print(json.dumps(line))
    else:
        low, high = line["interval"]
        print(f"{line['what']}: {line['value']:.3f} (95 % interval {low:.3f} to {high:.3f}),", end=" ")
        print(f"median brightness alone {line['baseline']['value']:.3f}; target {_TARGET}: met {line['met']}")


if __name__ == "__main__":
    main()
