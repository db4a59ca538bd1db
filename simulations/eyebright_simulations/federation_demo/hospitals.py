"""Hospitals of the demonstration: an invitation, a home of their own, and pictures made from a seed.

The pictures are coloured noise with a bright square in the diseased ones: enough for a loss to fall, too little to
say anything about eyes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_learning.data import PreparedImages
from eyebright_simulations.federation_demo.processes import run_once

TASK = "oct-dme"
SIZE = 32


def demonstration_plan(*, rounds: int, seed: int = 7) -> Plan:
    """Return a plan for two classes at 32 px, on labels alone."""
    return Plan.checked(
        task=TASK,
        classes=get_task(TASK).classes,
        student="mobilenet_v2",
        image_size=SIZE,
        preprocessing="demonstration-1",
        rounds=rounds,
        local_epochs=1,
        batch_size=8,
        learning_rate=1e-3,
        weight_decay=0.01,
        views=1,
        recipe={"ce": 1.0, "kd": 0.0, "dist": 0.0},
        seed=seed,
    )


def open_hospital(operator: Path, home: Path, name: str, *, plan: Plan, rows: int, seed: int) -> None:
    """Invite and join a hospital, give it pictures, and approve the plan, each by its own command."""
    invitation = operator.parent / f"{name}.invitation"
    run_once(["server", "invite", operator, name, "--role", "hospital", "--out", invitation])
    run_once(["client", "join", invitation, "--home", home])
    made = json.loads((home / "site" / "site.json").read_text())
    pictures(rows, seed=seed, patient=f"{made['name']}-a").save(home / "site" / "train.npz")
    pictures(rows // 2, seed=seed + 1000, patient=f"{made['name']}-b").save(home / "site" / "validation.npz")
    written = operator.parent / "plan.json"
    written.write_text(plan.canonical_json())
    policy = home / "site" / "policy.json"
    policy.write_text(json.dumps({"min_rows": 2, "threads": 1}))
    run_once(["client", "approve", written, "--home", home, "--yes"])


def pictures(count: int, *, seed: int, patient: str) -> PreparedImages:
    """Return ``count`` pictures, every other one with a bright square."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = generator.integers(40, 120, (count, SIZE, SIZE, 3), dtype=np.uint8)
    pixels[labels == 1, 8:24, 8:24] += 60
    return PreparedImages.of(pixels, labels, patients=[f"{patient}-{i}" for i in range(count)])
