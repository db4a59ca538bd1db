"""Hospitals that learn one disease from very different people: other cameras, shares of the ill, ways of being ill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning_hospitals import FEATURES, ROWS, LearningHospitals

SIGNAL = 0.6


@dataclass
class VariedHospitals(LearningHospitals):
    """As ``LearningHospitals``, drawn anew for each ``seed``.

    ``spread`` is 0 for hospitals that are alike; 1 for some that have hardly an ill eye in ten, others nine; cameras
    whose offset is as large as the disease's own signal; and diseases that look as different as they look alike.
    """

    seed: int = 0
    spread: float = 0.5

    def points(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        own = np.random.default_rng((self.seed, seed % 1000))  # the hospital's, for both of its sets
        ill = 0.5 + self.spread * own.uniform(-0.4, 0.4)
        camera = self.spread * SIGNAL * own.normal(size=FEATURES)
        disease = SIGNAL * (1 + self.spread * own.normal(size=FEATURES))
        random = np.random.default_rng((self.seed, seed, 1))
        labels = (random.random(ROWS) < ill).astype(int)
        labels[:2] = 0, 1  # a hospital with one class only is refused before it trains
        return random.normal(size=(ROWS, FEATURES)) + camera + disease * labels[:, None], labels
