"""Small pictures with something to learn in them, and a small teacher to learn it from."""

from __future__ import annotations

import numpy as np

from eyebright_learning.data import PreparedImages
from eyebright_learning.models import Teacher, build_teacher


def striped_pictures(count: int, *, size: int = 32, seed: int = 0, classes: int = 4) -> PreparedImages:
    """Return pictures whose class is the spacing of their stripes; neither mean nor flip gives it away."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    x = np.arange(size)
    pictures = []
    for label in labels:
        phase = generator.uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * x / (3 + 3 * label) + phase)[None, :, None] * np.ones((size, 1, 3))
        pictures.append(np.clip(128 + 60 * wave + generator.normal(0, 12, (size, size, 3)), 0, 255))
    patients = [f"patient-{i // 2}" for i in range(count)]
    return PreparedImages.of(np.asarray(pictures, dtype=np.uint8), labels, patients=patients)


def small_teacher(*, size: int = 32, seed: int = 0, classes: int = 4) -> Teacher:
    """Return an untrained teacher that answers in milliseconds."""
    return build_teacher("test_vit", classes=classes, image_size=size, seed=seed)
