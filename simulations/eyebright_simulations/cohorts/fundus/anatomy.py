"""The measures of one eye: where things lie, how large they are, what colour the fundus has.

* Both eyes of a patient share pigment and the build of the disc; position and small print differ.
* The field is centred between fovea and disc, more or less, as photographers do.
* A healthy cup is small but not always; a glaucomatous one is large, with its rim thinnest below or above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eyebright_simulations.cohorts.case import EyeCase

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """One eye, in field radii, right eye.

    Attributes:
        fovea: Centre of the macula.
        disc: Centre of the optic disc.
        disc_radii: Half width and half height of the disc.
        cup_ratio: Vertical diameter of the cup over that of the disc.
        notch: How far the cup reaches further out at ``notch_angle``, in disc radii.
        notch_angle: Where, in radians (0 is nasal, π/2 is below).
        atrophy: Strength 0–1 of the pale crescent on the disc's temporal side.
        pigment: Colour of the fundus, RGB 0–1.
        tessellation: How much the choroidal vessels show, 0–1.
    """

    fovea: Point
    disc: Point
    disc_radii: Point
    cup_ratio: float
    notch: float
    notch_angle: float
    atrophy: float
    pigment: tuple[float, float, float]
    tessellation: float


def draw_anatomy(case: EyeCase, rng: np.random.Generator) -> Anatomy:
    """Return the measures of ``case``; ``rng`` is the eye's own generator, the patient's comes from the case."""
    patient = np.random.default_rng((*case.patient_entropy, 99))
    red = patient.uniform(0.55, 0.86)
    pigment = (red, red * patient.uniform(0.47, 0.66), red * patient.uniform(0.20, 0.42))
    radius = patient.uniform(0.170, 0.210)
    oval = patient.uniform(0.86, 1.0)
    tessellation = float(patient.beta(1.2, 2.5))
    healthy_cup = patient.uniform(0.20, 0.46)
    centring = rng.uniform(0.05, 0.30)
    fovea = (-centring + rng.normal(0, 0.03), 0.05 + rng.normal(0, 0.05))
    disc = (fovea[0] + rng.uniform(0.62, 0.72), fovea[1] - rng.uniform(0.02, 0.12))
    glaucoma = case.label == "glaucoma"
    atrophy = rng.beta(1.5, 1.5) if rng.random() < (0.5 if glaucoma else 0.25) else 0.0
    return Anatomy(
        fovea=fovea,
        disc=disc,
        disc_radii=(radius * oval, radius),
        cup_ratio=rng.uniform(0.70, 0.75) + 0.16 * case.severity if glaucoma else healthy_cup + rng.normal(0, 0.02),
        notch=rng.uniform(0.10, 0.30) if glaucoma else 0.0,
        notch_angle=float(rng.choice([0.5, -0.5])) * np.pi + rng.normal(0.25, 0.2),
        atrophy=float(atrophy),
        pigment=pigment,
        tessellation=tessellation,
    )
