"""The threshold that ships says where it was chosen."""

import numpy as np

from eyebright_common.release import REFERABLE_PURPOSE
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation import EvaluationCounts, choose_threshold
from eyebright_server.release.operating_point import shipped_threshold


def test_the_choice_the_split_and_the_numbers_travel_with_the_value() -> None:
    task = get_task("oct-dme")
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.8, 0.2]])
    counts = EvaluationCounts.of(probabilities, np.array([0, 1, 1, 0]), task=task)
    chosen = choose_threshold(counts, min_sensitivity=0.9, source="pooled hospital validation")
    shipped = shipped_threshold(chosen, split="validation")
    assert (shipped.value, shipped.purpose) == (chosen.value, REFERABLE_PURPOSE)
    assert shipped.provenance.split == "validation"
    assert (shipped.provenance.images, shipped.provenance.positives) == (4, 2)
    assert "0.9 (pooled hospital validation)" in shipped.provenance.rule
