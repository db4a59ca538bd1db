"""Hospitals of the demonstration: an invitation, a home of their own, and pictures made from a seed.

The pictures are coloured noise with a bright square in the diseased ones: enough for a loss to fall, too little to
say anything about eyes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eyebright_client.enrolment.home import HospitalHome
from eyebright_client.enrolment.joining import join
from eyebright_client.policy import Policy
from eyebright_client.policy.approve_command import add_approval
from eyebright_common.plan import Plan
from eyebright_common.tasks import get_task
from eyebright_common.trust import Role
from eyebright_learning.data import PreparedImages
from eyebright_server.distribution import OperatorFolder

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
    """Invite and join a hospital, give it pictures, and approve the plan, by what the commands of these names do."""
    place = HospitalHome(home)
    with OperatorFolder.open(operator) as opened:
        invitation = opened.invite(name, role=Role.HOSPITAL)
    join(place, invitation)
    pictures(rows, seed=seed, patient=f"{name}-a").save(place.site / "train.npz")
    pictures(rows // 2, seed=seed + 1000, patient=f"{name}-b").save(place.site / "validation.npz")
    add_approval(place.site, Policy(min_rows=2, threads=1), plan)


def pictures(count: int, *, seed: int, patient: str) -> PreparedImages:
    """Return ``count`` pictures, every other one with a bright square."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = generator.integers(40, 120, (count, SIZE, SIZE, 3), dtype=np.uint8)
    pixels[labels == 1, 8:24, 8:24] += 60
    return PreparedImages.of(pixels, labels, patients=[f"{patient}-{i}" for i in range(count)])
