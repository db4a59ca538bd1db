"""One OCT B-scan, from the case to the pixels."""

from __future__ import annotations

import numpy as np

from eyebright_simulations.cohorts.canvas import Bytes, Field, smooth_noise, smooth_step
from eyebright_simulations.cohorts.case import EyeCase
from eyebright_simulations.cohorts.oct.disease import add_drusen, add_macular_oedema, add_neovascularisation
from eyebright_simulations.cohorts.oct.layers import Layers, healthy_layers, render
from eyebright_simulations.cohorts.oct.scanner import ScannerStyle, scan

_DISEASES = {"drusen": add_drusen, "cnv": add_neovascularisation, "dme": add_macular_oedema}


def draw_oct(case: EyeCase, style: ScannerStyle, *, size: int = 256) -> Bytes:
    """Return the B-scan of ``case`` ``[H, W, 3]``; ``size`` is the nominal height, the style scales it."""
    rng = np.random.default_rng(case.eye_entropy)
    height = round(size * style.resolution)
    width = round(height * style.aspect)
    layers = healthy_layers(height, width, rng)
    if case.label in _DISEASES:
        _DISEASES[case.label](layers, case.severity, rng)
    if rng.random() < 0.35:
        _add_hyaloid(layers, rng)
    return scan(render(layers, rng), style, rng, fault=case.fault, left=case.eye == "L")


def _add_hyaloid(layers: Layers, rng: np.random.Generator) -> None:
    """Add the faint line of a detached posterior hyaloid above the retina."""
    shape = (1, layers.bruch.size)
    height = layers.surface + np.float32(rng.uniform(0.03, 0.14)) + 0.02 * smooth_noise(rng, 4, shape)[0]
    line: Field = layers.bruch - height
    mask = np.exp(-np.square((layers.rows - line[None, :]) / np.float32(0.005)))
    seen = smooth_step(smooth_noise(rng, 5, shape), -0.4, 0.6)
    layers.marks.insert(0, (mask.astype(np.float32) * seen * np.float32(0.6), 0.35))
