"""The signs of each disease are in the pictures: measured the way an eye would look for them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from eyebright_common.tasks import get_task
from eyebright_simulations.cohorts import SiteSpec, default_sites
from eyebright_simulations.cohorts.fundus.anatomy import draw_anatomy
from eyebright_simulations.cohorts.generation import draw_picture
from eyebright_simulations.cohorts.oct.disease import add_drusen, add_macular_oedema, add_neovascularisation
from eyebright_simulations.cohorts.oct.layers import healthy_layers
from eyebright_simulations.cohorts.patients import draw_patients

PICTURES = 9


def cases_of(task_name, label, patients=60):
    site: SiteSpec = replace(default_sites(task_name=task_name)[0], patients=patients, more_styles=())
    healthy = get_task(task_name).classes[0]
    return site, [c for c in draw_patients(site, healthy=healthy, seed=21) if c.label == label and not c.fault]


def green_pictures(label):
    site, cases = cases_of("fundus", label)
    return [draw_picture(case, site)[..., 1].astype(np.float32) for case in cases[:PICTURES]]


def inner(picture):
    """The middle of a picture, away from the edge of the field."""
    height, width = picture.shape
    return picture[height // 6 : -height // 6, width // 6 : -width // 6]


def test_the_disc_of_a_right_eye_is_on_the_right_and_of_a_left_eye_on_the_left():
    site, cases = cases_of("fundus", "glaucoma")
    found = []
    for case in cases[:PICTURES]:
        picture = draw_picture(case, site)
        green = cv2.GaussianBlur(picture[..., 1], (0, 0), 4)
        disc = np.unravel_index(np.argmax(inner(green)), inner(green).shape)[1] / inner(green).shape[1]
        found.append((disc > 0.5) == (case.eye == "R"))
    assert np.mean(found) >= 0.9  # stray light at the edge outshines a disc now and then


def test_a_glaucomatous_cup_is_larger_than_any_healthy_one():
    ratios = {
        label: [draw_anatomy(c, np.random.default_rng(c.eye_entropy)).cup_ratio for c in cases_of("fundus", label)[1]]
        for label in ("normal", "glaucoma")
    }
    assert max(ratios["normal"]) < 0.6 < min(ratios["glaucoma"])
    assert max(ratios["glaucoma"]) < 1


def test_retinopathy_shows_small_spots_that_a_healthy_eye_has_not():
    def spots(green):
        """Count the small dark marks that are as wide as they are long; a vessel is not."""
        dark = cv2.morphologyEx(inner(green), cv2.MORPH_BLACKHAT, np.ones((13, 13), np.uint8)) > 22
        _, _, boxes, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8))
        width, height, area = boxes[1:, cv2.CC_STAT_WIDTH], boxes[1:, cv2.CC_STAT_HEIGHT], boxes[1:, cv2.CC_STAT_AREA]
        return np.sum((area >= 8) & (area > 0.5 * width * height) & (np.maximum(width, height) < 14))

    sick, well = (np.median([spots(p) for p in green_pictures(x)]) for x in ("diabetic_retinopathy", "normal"))
    assert sick > 2 * well + 3


def test_a_cataract_takes_away_fine_detail():
    def detail(green):
        return np.abs(inner(green) - cv2.GaussianBlur(inner(green), (0, 0), 3)).mean() / inner(green).mean()

    clouded, clear = ([detail(p) for p in green_pictures(x)] for x in ("cataract", "normal"))
    assert np.median(clouded) < 0.75 * np.median(clear)


def layers_with(disease, seed):
    rng = np.random.default_rng(seed)
    layers = healthy_layers(220, 275, rng)
    before = layers.surface.copy()
    disease(layers, 0.5, rng)
    return layers, before


@pytest.mark.parametrize("seed", range(5))
def test_drusen_raise_the_pigment_epithelium_and_leave_the_inner_surface_alone(seed):
    layers, before = layers_with(add_drusen, seed)
    assert layers.epithelium.max() > 0.025
    assert np.mean(layers.epithelium > 0.015) < 0.5
    assert np.array_equal(layers.surface, before)


@pytest.mark.parametrize("seed", range(5))
def test_neovascularisation_comes_with_a_raised_epithelium_fluid_and_a_lesion(seed):
    layers, _ = layers_with(add_neovascularisation, seed)
    assert layers.epithelium.max() > 0.03
    assert layers.lift.max() > 0.015
    assert max(brightness for _, brightness in layers.marks) > 0.6


@pytest.mark.parametrize("seed", range(5))
def test_macular_oedema_thickens_the_retina_and_fills_it_with_dark_cysts(seed):
    layers, before = layers_with(add_macular_oedema, seed)
    assert (layers.surface - before).max() > 0.02
    assert sum(brightness < 0.1 for _, brightness in layers.marks) >= 3


def rows_of_tissue(scan):
    """How many rows lie between the uppermost and the lowest bright tissue in each column, ``[W]``."""
    bright = scan > 0.4 * np.percentile(scan, 95)
    return scan.shape[0] - np.argmax(bright, axis=0)


@pytest.mark.parametrize("label", ["cnv", "dme"])
def test_swelling_lifts_the_inner_surface_above_that_of_the_same_eye_in_health(label):
    site, cases = cases_of("oct", label)
    lifted = []
    for case in cases[:PICTURES]:
        # An eye's build is drawn before its disease: the same case without the disease is the same eye.
        sick, well = (
            cv2.GaussianBlur(draw_picture(c, site)[..., 0], (0, 0), 2.5).astype(np.float32)
            for c in (case, replace(case, label="normal", severity=0.0))
        )
        lifted.append(np.percentile(rows_of_tissue(sick) - rows_of_tissue(well), 90) / sick.shape[0])
    assert np.median(lifted) > 0.03
