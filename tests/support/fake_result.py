"""A made-up simulation: a result and its evidence that fit together, for any task and number of hospitals.

Answers are drawn from a model of a given skill, and every number is computed from them by the evaluation room, so the
page shows what a real run would show.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eyebright_common.tasks import get_task
from eyebright_simulations.report import (
    ArmName,
    ReportEvidence,
)
from eyebright_simulations.report.result_schema import RESULT_SCHEMA
from fake_answers import SKILL, FakeAnswers
from fake_evidence import fake_evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A result and its evidence."""

    result: dict[str, Any]
    evidence: ReportEvidence


def rehearsal(
    task_name: str = "fundus",
    *,
    hospitals: int = 3,
    rounds: int = 6,
    names: Sequence[str] | None = None,
    skill: dict[ArmName, float] | None = None,
    samples: int = 8,
    seed: int = 7,
) -> Rehearsal:
    """Return a made-up simulation.

    Args:
        task_name: Which screening task.
        hospitals: How many.
        rounds: How many.
        names: Hospital names; ``hospital-1`` … when None.
        skill: How well each arm answers; 0 is guessing.
        samples: How many sample verdicts.
        seed: Of everything drawn.
    """
    places = tuple(names or [f"hospital-{i + 1}" for i in range(hospitals)])
    skills = tuple({**SKILL, **(skill or {})}.items())
    made = _made(task_name, places, rounds, skills, samples, seed)
    # A test may change its result; the next one must not see it.
    return Rehearsal(result=copy.deepcopy(made.result), evidence=made.evidence)


@lru_cache
def _made(
    task_name: str,
    places: tuple[str, ...],
    rounds: int,
    skills: tuple[tuple[ArmName, float], ...],
    samples: int,
    seed: int,
) -> Rehearsal:
    drawn, names = FakeAnswers(get_task(task_name), seed, dict(skills)), list(places)
    return Rehearsal(result=fake_result(drawn, names, rounds), evidence=fake_evidence(drawn, names, rounds, samples))


def fake_result(drawn: FakeAnswers, places: list[str], rounds: int) -> dict[str, Any]:
    """Return what stands in ``result.json``."""
    classes = drawn.task.classes
    return {
        "schema": RESULT_SCHEMA,
        "task": drawn.task.name,
        "seed": drawn.seed,
        "data": {
            "images": 1204 * len(places),
            "patients": 602 * len(places),
            "left_out": {"label_not_in_task:hypertension": 162, "unreadable": 3, "duplicate_row": 12},
            "hospitals": [
                {
                    "name": name,
                    "train": 700 + 40 * (i % 5),
                    "validation": 120,
                    "test": 240,
                    "labels": {c: 120 + 60 * ((i + k) % 4) for k, c in enumerate(classes)},
                }
                for i, name in enumerate(places)
            ],
            "duplicates": {"clusters": 41, "images": 97},
        },
        "teacher": {
            "arch": drawn.task.teacher,
            "parameters": 6_337_704,
            "metrics": drawn.metrics(ArmName.TEACHER),
        },
        "rounds": [
            {
                "round": r,
                "participants": len(places),
                "accepted": len(places) - (r == 3),
                "quarantined": int(r == 3),
                "seconds": 11.4 + 0.3 * r,
                "bytes_up": 8_940_512 * (len(places) - (r == 3)),
                "bytes_down": 8_936_004 * len(places),
                "metrics": drawn.metrics(ArmName.STUDENT, salt=r, shift=-1.8 / r),
            }
            for r in range(1, rounds + 1)
        ],
        "student": {
            "arch": drawn.task.student,
            "parameters": 2_228_996,
            "size_bytes": 8_921_447,
            "metrics": drawn.metrics(ArmName.STUDENT),
        },
        "comparison": {
            "best_local": drawn.metrics(ArmName.BEST_LOCAL) | {"hospital": places[-1]},
            "pooled": drawn.metrics(ArmName.POOLED),
            "no_distillation": drawn.metrics(ArmName.NO_DISTILLATION),
        },
        "release": {
            "version": "1",
            "sha256": _digest("release"),
            "artefacts": [
                {"name": "model.onnx", "size_bytes": 8_921_447, "sha256": _digest("model")},
                {"name": "golden.npz", "size_bytes": 412_007, "sha256": _digest("golden")},
                {"name": "gate.json", "size_bytes": 1_204, "sha256": _digest("gate")},
                {"name": "card.md", "size_bytes": 5_118, "sha256": _digest("card")},
            ],
            "gate": {
                "passed": True,
                "rules": [
                    {"name": "parity_logits", "value": 3.1e-6, "limit": 0.001, "passed": True},
                    {"name": "decision_flips", "value": 0, "limit": 0, "passed": True, "n": 240},
                    {"name": "size_bytes", "value": 8921447, "limit": 20000000, "passed": True},
                    {
                        "name": "not_worse_than_previous",
                        "value": None,
                        "limit": -0.01,
                        "passed": True,
                        "note": "no release before this one",
                    },
                ],
            },
        },
        "unit": {
            "backend": "ONNX Runtime, CPU",
            "active_release": "1",
            "golden": {"max_abs_logit_difference": 2.4e-6, "decision_flips": 0, "cases": 16, "passed": True},
            "screened": 240,
            "images_per_second": 48.3,
            "verdicts": {"refer": 74, "no_referral": 33, "ungradable": 13},
        },
        "seconds": {
            "cohort": 21.8,
            "split": 6.2,
            "teacher": 48.4,
            "rounds": 74.9,
            "comparison": 121.7,
            "release": 12.2,
            "unit": 9.6,
            "report": 1.1,
        },
    }


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()
