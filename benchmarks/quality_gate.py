"""How well the quality gate tells ungradable fundus photographs from gradable ones, and which diseased eyes it costs.

AUROC of "reject" against "good" and "usable" on EyePACS photographs with EyeQ grades. The model's terms are fitted
again on each of five patient-grouped folds, so no picture is judged by weights it helped to fit (which measurements
to use was chosen on the same pictures); the interval is a bootstrap over patients. Baseline in the same run: median
brightness alone. ``caught`` and ``lost`` are the shares of ungradable and of gradable photographs that the whole gate,
rules included, rejects at its shipped limit, with the terms of the folds.

A second line says what the gate as shipped costs on a collection of labelled photographs that nobody graded: the share
of diseased eyes it rejects, beside that of healthy ones, and by label. A collection holds what was good enough to be
read, so most of what is rejected there is a loss.

``--fit`` prints the packaged model's terms fitted on all pictures, for ``quality_gate.json``.
Needs the photographs; skips with a reason without them.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from claim import machine
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from eyebright_common.errors import ImageError
from eyebright_common.imaging import assess_quality, decode_image, field_of_view
from eyebright_common.imaging.fundus_features import fundus_features
from eyebright_common.imaging.gate import RejectionModel, Term, quality_gate

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_FOLDS = 5
_RESAMPLES = 1000
_TARGET = 0.9
_MOST_LOST = 0.05
_HEALTHY = "normal"
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


def _interval(patients: NDArray[np.str_], figure: Callable[[NDArray[np.intp]], float | None]) -> list[float]:
    """Return the 95 % interval of a figure of rows, over patients drawn again and again."""
    generator = np.random.default_rng(0)
    names, member = np.unique(patients, return_inverse=True)
    of_patient = [np.flatnonzero(member == index) for index in range(len(names))]
    found = []
    for _ in range(_RESAMPLES):
        value = figure(np.concatenate([of_patient[i] for i in generator.integers(0, len(names), len(names))]))
        if value is not None:
            found.append(value)
    return [round(float(end), 4) for end in np.percentile(found, (2.5, 97.5))]


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
    refused = (scores > math.log(model.reject_above / (1 - model.reject_above))) | _by_rule(features)

    def auroc(drawn: NDArray[np.intp]) -> float | None:
        both = 0 < rejected[drawn].sum() < len(drawn)
        return float(roc_auc_score(rejected[drawn], scores[drawn])) if both else None

    interval = _interval(patients, auroc)
    line = {
        "name": "quality_gate",
        "what": f"AUROC of reject against rest, {len(rows)} graded photographs, {_FOLDS} patient-grouped folds",
        "value": round(value, 4),
        "interval": interval,
        "caught": round(float(refused[rejected].mean()), 4),
        "lost": round(float(refused[~rejected].mean()), 4),
        "unit": "AUROC",
        "baseline": {"name": "median brightness", "value": round(baseline, 4)},
        "ratio": round(value / baseline, 4),
        "target": _TARGET,
        "met": interval[0] >= _TARGET,
        "runs": 1,
        "machine": machine(),
    }
    return line, _terms(model, _fit(table, rejected))


def _by_rule(features: list[dict[str, float]]) -> NDArray[np.bool_]:
    gate = quality_gate().gates["CFP"]
    return np.array([bool(gate.reasons(found, verdict="reject")) for found in features])


def measure_loss(data: Path) -> dict[str, Any]:
    """Return the line of the diseased eyes that the gate as shipped rejects in a labelled collection."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["modality"] == "CFP"]
    lost = np.array([_is_rejected(data / row["image_path"]) for row in rows])
    labels, patients = (np.array([row[name] for row in rows]) for name in ("label", "patient_id"))
    diseased = labels != _HEALTHY

    def share(drawn: NDArray[np.intp]) -> float | None:
        return float(lost[drawn][diseased[drawn]].mean()) if diseased[drawn].any() else None

    value, baseline = float(lost[diseased].mean()), float(lost[~diseased].mean())
    return {
        "name": "quality_gate",
        "what": f"share of {diseased.sum()} photographs of diseased eyes rejected",
        "value": round(value, 4),
        "interval": _interval(patients, share),
        "by_label": {str(label): round(float(lost[labels == label].mean()), 4) for label in np.unique(labels)},
        "unit": "share",
        "baseline": {"name": f"the same of {(~diseased).sum()} of healthy eyes", "value": round(baseline, 4)},
        "ratio": round(value / baseline, 4),
        "target": _MOST_LOST,
        "met": value <= _MOST_LOST,
        "runs": 1,
        "machine": machine(),
    }


def _is_rejected(path: Path) -> bool:
    try:
        return assess_quality(decode_image(path), modality="CFP").verdict == "reject"
    except ImageError:
        return True  # What cannot be read is lost as well.


def _terms(model: RejectionModel, fitted: tuple[Values, Values, Values, Values]) -> list[dict[str, Any]]:
    terms: list[dict[str, Any]] = [{"intercept": float(fitted[3][0])}]
    for index, term in enumerate(model.terms):
        numbers = {name: float(f"{fitted[k][index]:.5g}") for k, name in enumerate(("mean", "scale", "weight"))}
        terms.append({"feature": term.feature, "reason": term.reason, **numbers, "log_offset": term.log_offset})
    return terms


def main() -> None:
    """Measure, and print one line each for people or objects for machines."""
    parser = argparse.ArgumentParser(description="AUROC of the quality gate, and the diseased eyes it loses.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fit", action="store_true", help="print the model's terms fitted on all pictures")
    parser.add_argument("--data", type=Path, default=_SHARED / "quality", help="graded: manifest.csv with `quality`")
    parser.add_argument("--labelled", type=Path, default=_SHARED / "fundus", help="labelled: manifest.csv with `label`")
    arguments = parser.parse_args()
    lines: list[dict[str, Any]] = []
    if not (arguments.data / "manifest.csv").is_file():
        lines.append(_skipped(f"no graded photographs at {arguments.data.name}/manifest.csv"))
    else:
        line, terms = measure(arguments.data)
        if arguments.fit:
            print(json.dumps(terms, indent=1))
            return
        lines.append(line)
    if not (arguments.labelled / "manifest.csv").is_file():
        lines.append(_skipped(f"no labelled photographs at {arguments.labelled.name}/manifest.csv"))
    else:
        lines.append(measure_loss(arguments.labelled))
    print(json.dumps(lines) if arguments.json else "\n".join(_told(line) for line in lines))


def _skipped(reason: str) -> dict[str, Any]:
    return {"name": "quality_gate", "skipped": reason}


def _told(line: dict[str, Any]) -> str:
    if "skipped" in line:
        return f"skipped: {line['skipped']}"
    low, high = line["interval"]
    more = ", ".join(f"{name} {share:.3f}" for name, share in line.get("by_label", {}).items())
    more = more or f"rejected of ungradable {line['caught']:.3f}, of gradable {line['lost']:.3f}"
    return (
        f"{line['what']}: {line['value']:.3f} (95 % interval {low:.3f} to {high:.3f}), {line['baseline']['name']} "
        f"{line['baseline']['value']:.3f}; target {line['target']}: met {line['met']}; {more}"
    )


if __name__ == "__main__":
    main()
