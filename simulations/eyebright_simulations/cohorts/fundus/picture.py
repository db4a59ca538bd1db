"""One fundus photograph, from the case to the pixels."""

from __future__ import annotations

import numpy as np

from eyebright_simulations.cohorts.canvas import Bytes
from eyebright_simulations.cohorts.case import EyeCase
from eyebright_simulations.cohorts.fundus.anatomy import draw_anatomy
from eyebright_simulations.cohorts.fundus.camera import CameraStyle, expose, photograph
from eyebright_simulations.cohorts.fundus.diabetic import paint_retinopathy
from eyebright_simulations.cohorts.fundus.disc import paint_disc, paint_nerve_fibre_defect
from eyebright_simulations.cohorts.fundus.faults import spoil
from eyebright_simulations.cohorts.fundus.frame import grid as grid_of
from eyebright_simulations.cohorts.fundus.media import pass_media
from eyebright_simulations.cohorts.fundus.retina import paint_ground
from eyebright_simulations.cohorts.fundus.vessels import paint_vessels


def draw_fundus(case: EyeCase, style: CameraStyle, *, size: int = 256) -> Bytes:
    """Return the photograph of ``case`` ``[H, W, 3]`` RGB; ``size`` is the nominal height, the style scales it."""
    rng = np.random.default_rng(case.eye_entropy)
    grid = grid_of(size)
    anatomy = draw_anatomy(case, rng)
    canvas = paint_ground(grid, anatomy, rng)
    if case.label == "glaucoma" and rng.random() < 0.5:
        paint_nerve_fibre_defect(grid, canvas, anatomy)
    paint_disc(grid, canvas, anatomy, rng)
    paint_vessels(grid, canvas, anatomy, rng)
    if case.label == "diabetic_retinopathy":
        paint_retinopathy(grid, canvas, anatomy, case.severity, rng)
    canvas = pass_media(grid, canvas, case, rng)
    expose(grid, canvas, style, rng)
    spoil(grid, canvas, case.fault, rng)
    return photograph(grid, canvas, style, rng, left=case.eye == "L")
