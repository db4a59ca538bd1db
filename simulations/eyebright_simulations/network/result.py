"""``result.json``: the facts of every stage in the shape that other programs read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eyebright_simulations.network.context import Context
from eyebright_simulations.network.workspace import Facts
from eyebright_simulations.report import RESULT_SCHEMA


def best_local(comparison: Facts) -> tuple[int, Facts]:
    """Return the index and facts of the single hospital whose student did best on the test patients.

    No hospital could choose like that. It makes this the strongest opponent, and a federation that beats it beats all.
    """
    local = {int(name.removeprefix("local-")) - 1: arm for name, arm in comparison.items() if name.startswith("local-")}
    return max(local.items(), key=lambda item: (item[1]["test"]["balanced_accuracy"] or 0.0, -item[0]))


def result_of(context: Context, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Return the content of ``result.json``.

    Args:
        context: A run whose stages are finished.
        seconds: Wall time of each stage.
    """
    facts = context.facts
    cohort, rounds, comparison, release, unit = (
        facts[name] for name in ("cohort", "rounds", "comparison", "release", "unit")
    )
    index, local = best_local(comparison)
    return {
        "schema": RESULT_SCHEMA,
        "task": cohort["task"],
        "seed": context.options.seed,
        "data": {
            "images": cohort["images"],
            "patients": cohort["patients"],
            "left_out": cohort["left_out"],
            "hospitals": [_hospital(hospital) for hospital in cohort["hospitals"]],
            "duplicates": {name: cohort["duplicates"][name] for name in ("clusters", "images")},
        },
        "teacher": {
            "arch": facts["teacher"]["arch"],
            "parameters": facts["teacher"]["parameters"],
            "metrics": facts["teacher"]["on_hospitals"]["test"],
        },
        "rounds": [_round(record) for record in rounds["rounds"]],
        "student": {
            "arch": context.options.student,
            "parameters": rounds["parameters"],
            "size_bytes": release["model_bytes"],
            "metrics": rounds["test"],
        },
        "comparison": {
            "best_local": local["test"] | {"hospital": cohort["hospitals"][index]["name"]},
            "pooled": comparison["pooled"]["test"],
            "no_distillation": comparison["no_distillation"]["test"],
        },
        "release": {name: release[name] for name in ("version", "sha256", "artefacts", "gate")},
        "unit": {
            "backend": unit["backend"],
            "active_release": unit["active_release"],
            "golden": {
                name: unit["golden"][name] for name in ("max_abs_logit_difference", "decision_flips", "cases", "passed")
            },
            **{name: unit[name] for name in ("screened", "images_per_second", "verdicts")},
        },
        "seconds": dict(seconds),
    }


def _hospital(hospital: Facts) -> Facts:
    return {name: hospital[name] for name in ("name", "train", "validation", "test", "labels")}


def _round(record: Facts) -> Facts:
    return {
        "round": record["round"],
        "participants": len(record["participants"]),
        "accepted": len(record["accepted"]),
        "quarantined": len(record["quarantined"]),
        **{name: record[name] for name in ("seconds", "bytes_up", "bytes_down", "metrics")},
    }
