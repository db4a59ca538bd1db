"""The evidence of a made-up simulation: curves, hospitals, sample verdicts and what crossed the border."""

from __future__ import annotations

import hashlib

import numpy as np

from eyebright_common.release import Eye, Provenance, Threshold, Verdict
from eyebright_learning.evaluation import Interval, confusion_matrix, reliability, roc_points
from eyebright_simulations.report import (
    ArmEvidence,
    ArmName,
    BoundaryFlow,
    Duplicates,
    OperatorShare,
    Party,
    ReportEvidence,
    Reproduction,
    SampleVerdict,
    SiteEvidence,
)
from fake_answers import FakeAnswers

_CAMERAS = ("Warm, 45°, 512 px", "Cool, 50°, 384 px", "Handheld, 40°, noisy", "Green cast, 45°")


def fake_evidence(drawn: FakeAnswers, places: list[str], rounds: int, samples: int) -> ReportEvidence:
    """Return what the page shows beside the result."""
    task = drawn.task
    return ReportEvidence(
        task=task,
        synthetic=True,
        data_source="a synthetic cohort",
        setup={
            "Partition": "by site",
            "Rounds": f"{rounds} rounds of 3 passes",
            "Input": "96 by 96 pixels",
            "Losses": "CE 0.3 + KD 0.7 (T = 4) + DIST 1.0",
            "First weights": "random, the same for all",
            "Backend": "local",
        },
        budget="Every student had 18 passes over its pictures.",
        arms={arm: _arm(drawn, arm) for arm in ArmName},
        sites=[_site(drawn, i, name, rounds) for i, name in enumerate(places)],
        losses=[{"ce": 1.2 / r, "kd": 0.9 / r, "dist": 0.5 / r, "total": 1.4 / r} for r in range(1, rounds + 1)],
        best_round=rounds or None,
        threshold=Threshold(
            purpose="referable",
            value=0.4127,
            provenance=Provenance(
                split="validation",
                rule="highest threshold with sensitivity ≥ 0.87",
                images=360,
                positives=270,
                sensitivity=0.8741,
                specificity=0.8222,
            ),
        ),
        temperature=1.31,
        operator=OperatorShare(train=420, validation=105, labels=dict.fromkeys(task.classes, 130)),
        duplicates=Duplicates(clusters=41, images=97, cross_patient=12, moved=5),
        samples=[_sample(drawn, i, places) for i in range(samples)],
        flows=_flows(places, rounds),
        reproduction=Reproduction(
            command="eyebright simulate --out runs/simulate --seed 7",
            machine={"processor": "x86-64", "cores": "2", "memory": "8 GB", "system": "Linux 6.8"},
            versions={"eyebright": "0.1.0", "python": "3.11.7", "torch": "2.15.0", "flwr": "1.41.0"},
            digests={"plan": _digest("plan"), "teacher": _digest("teacher"), "manifest": _digest("manifest")},
            peak_memory_bytes=1_912_000_000,
            started="2026-03-14 09:26",
        ),
        notes=["The duplicate search compares prepared pictures of 96 pixels; finer differences are not seen."],
    )


def _arm(drawn: FakeAnswers, arm: ArmName) -> ArmEvidence:
    p, y = drawn.answers[arm], drawn.truth
    score = p[:, np.asarray(drawn.task.referable_mask)].sum(axis=1)
    value = drawn.metrics(arm)["balanced_accuracy"]
    lead = drawn.metrics(ArmName.STUDENT)["balanced_accuracy"] - value
    return ArmEvidence(
        confusion=confusion_matrix(p.argmax(axis=1), y, len(drawn.task.classes)).tolist(),
        roc=roc_points(score, np.asarray(drawn.task.referable_mask)[y]),
        reliability=reliability(p, y),
        intervals={"balanced_accuracy": _interval(value, 0.045), "macro_auroc": _interval(0.95, 0.02)},
        student_minus={} if arm is ArmName.STUDENT else {"balanced_accuracy": _interval(lead, 0.04)},
    )


def _site(drawn: FakeAnswers, i: int, name: str, rounds: int) -> SiteEvidence:
    found = [drawn.metrics(ArmName.STUDENT, salt=100 * i + r, shift=-1.9 / r - 0.1 * i) for r in range(1, rounds + 1)]
    return SiteEvidence(
        name=name,
        camera=_CAMERAS[i % len(_CAMERAS)],
        left_out={"unreadable": 1},
        ungradable=14 + i,
        metrics=drawn.metrics(ArmName.STUDENT, salt=77 + i, shift=-0.25 * (i % 4), n=80),
        intervals={"balanced_accuracy": _interval(0.8, 0.08)},
        local=drawn.metrics(ArmName.BEST_LOCAL, salt=5 + i, shift=-0.1 * (i % 3)),
        balanced_accuracy=[f["balanced_accuracy"] for f in found],
        macro_auroc=[f["macro_auroc"] for f in found],
        loss=[1.4 / r for r in range(1, rounds + 1)],
    )


def _sample(drawn: FakeAnswers, i: int, places: list[str]) -> SampleVerdict:
    picture = fundus_picture(i)
    overlay = picture.copy()
    overlay[60:110, 70:130, 0] = 255
    verdict = (Verdict.REFER, Verdict.NO_REFERRAL, Verdict.UNGRADABLE)[i % 3]
    graded = verdict is not Verdict.UNGRADABLE
    chances = drawn.answers[ArmName.STUDENT][i]
    return SampleVerdict(
        picture=picture,
        overlay=overlay if graded else None,
        patient=f"patient {i + 1}",
        eye=(Eye.RIGHT, Eye.LEFT)[i % 2],
        truth=drawn.task.classes[(i + 1) % len(drawn.task.classes)],
        probabilities=dict(zip(drawn.task.classes, map(float, chances), strict=True)) if graded else {},
        score=float(1 - chances[0]) if graded else None,
        verdict=verdict,
        quality="good" if graded else "reject",
        reasons=() if graded else ("too_dark", "blur"),
        site=places[i % len(places)],
    )


def fundus_picture(seed: int, side: int = 192) -> np.ndarray:
    """Return something round and orange, uint8 ``[side, side, 3]``."""
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    radius, disc = np.hypot(x, y), np.hypot(x - 0.2, y - 0.02 * (seed % 5))
    light = np.clip(1.15 - 1.3 * radius, 0, 1) * (radius < 0.47)
    tint = np.array([205, 92 + 8 * (seed % 4), 45 + 5 * (seed % 3)])
    picture = light[..., None] * (tint + 90 * np.exp(-((disc / 0.06) ** 2))[..., None])
    return np.clip(picture + np.random.default_rng(seed).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def _flows(places: list[str], rounds: int) -> list[BoundaryFlow]:
    operator, hospital, unit = Party.OPERATOR, Party.HOSPITAL, Party.UNIT
    flows = []
    for name in places:
        for sender, receiver, what, size, count in (
            (operator, hospital, "plan", 2_210, rounds),
            (operator, hospital, "teacher", 25_401_220, 1),
            (operator, hospital, "student", 8_936_004 * rounds, rounds),
            (hospital, operator, "student update", 8_936_004 * rounds, rounds),
            (hospital, operator, "evaluation counts", 22_108 * rounds, rounds),
        ):
            flows.append(
                BoundaryFlow(sender=sender, receiver=receiver, what=what, size_bytes=size, count=count, site=name)
            )
    return [
        *flows,
        BoundaryFlow(sender=operator, receiver=unit, what="certificate", size_bytes=2_904, count=1),
        BoundaryFlow(sender=operator, receiver=unit, what="signed metadata", size_bytes=9_112, count=4),
        BoundaryFlow(sender=operator, receiver=unit, what="release files", size_bytes=9_351_776, count=5),
        BoundaryFlow(sender=unit, receiver=operator, what="status and counts", size_bytes=604, count=2),
    ]


def _interval(value: float, half: float) -> Interval:
    return Interval(lower=value - half, upper=min(1.0, value + half), level=0.95, replicates=500)


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()
