"""Who comes to a site: disease, severity, both eyes, age and sex, and which pictures go wrong.

* Counts per class follow the site's mix exactly (largest remainder), so that no class is ever missing by bad luck.
* Disease is mostly in both eyes, seldom equally far; sometimes one eye is still healthy.
* A picture in twenty or so is ungradable, whatever its class.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from eyebright_simulations.cohorts.case import FAULTS, EyeCase
from eyebright_simulations.cohorts.sites import SiteSpec

UNGRADABLE_SHARE = 0.05
_ONE_EYE_ONLY = 0.10
# Mean age per class: the diseases come with age, yet age alone tells none of them.
_MEAN_AGE = {"normal": 56.0, "cataract": 67.0, "glaucoma": 63.0, "drusen": 68.0, "cnv": 70.0}
_DEFAULT_AGE = 60.0


def draw_patients(site: SiteSpec, *, healthy: str, seed: int) -> list[EyeCase]:
    """Return the eyes of all patients of ``site``, two per patient, right eye first.

    Args:
        site: Where they come.
        healthy: The class of an eye without disease.
        seed: The cohort's seed; other sites of the cohort do not influence this one.
    """
    key = (seed, zlib.crc32(site.name.encode()))
    rng = np.random.default_rng(key)
    labels = np.repeat(list(site.label_mix), _apportion(site.label_mix, site.patients))
    cases: list[EyeCase] = []
    for number, label in enumerate(rng.permutation(labels)):
        cases += _both_eyes(site.name, number, str(label), healthy=healthy, key=(*key, number))
    return cases


def _apportion(mix: Mapping[str, float], seats: int) -> list[int]:
    """Deal ``seats`` by weight, largest remainder first; the sum is exact."""
    weights = np.array(list(mix.values()), dtype=np.float64)
    exact = weights / weights.sum() * seats
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: seats - counts.sum()]] += 1
    return [int(count) for count in counts]


def _both_eyes(site: str, number: int, label: str, *, healthy: str, key: tuple[int, ...]) -> list[EyeCase]:
    rng = np.random.default_rng(key)
    age = int(np.clip(rng.normal(_MEAN_AGE.get(label, _DEFAULT_AGE), 9), 31, 89))
    sex = str(rng.choice(["F", "M"]))
    burden = float(rng.beta(1.6, 1.4))
    spared = int(rng.integers(2)) if rng.random() < _ONE_EYE_ONLY else -1
    cases = []
    for index, eye in enumerate("RL"):
        severity = float(np.clip(burden + rng.normal(0, 0.12), 0, 1))
        fault = str(rng.choice(FAULTS)) if rng.random() < UNGRADABLE_SHARE else ""
        own = healthy if index == spared else label
        cases.append(
            EyeCase(
                site=site,
                patient_id=f"{site}-{number:04d}",
                eye=eye,
                label=own,
                severity=0.0 if own == healthy else severity,
                device=number,
                fault=fault,
                age_band=f"{age // 10 * 10}-{age // 10 * 10 + 9}",
                sex=sex,
                patient_entropy=key,
                eye_entropy=(*key, 1 + index),
            )
        )
    return cases
