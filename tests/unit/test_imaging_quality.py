"""The quality gate: what it lets through, what it refuses, and in which words."""

import cv2
import numpy as np
import pytest

from eyebright_common.imaging import INSTRUCTIONS, assess_quality
from eyebright_common.imaging.gate import quality_gate
from pictures import b_scan, eye


def page():
    paper = np.full((300, 220, 3), 245, np.uint8)
    for y in range(20, 280, 12):
        cv2.putText(paper, "the quick brown fox jumps", (10, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (20, 20, 20), 1)
    return paper


def face():
    skin = np.full((256, 256, 3), (40, 60, 110), np.uint8)
    cv2.ellipse(skin, (128, 130), (80, 110), 0, 0, 360, (224, 180, 150), -1)
    for x in (98, 158):
        cv2.circle(skin, (x, 105), 10, (40, 30, 30), -1)
    cv2.ellipse(skin, (128, 190), (30, 10), 0, 0, 360, (150, 60, 60), -1)
    skin[:50] = (40, 30, 20)
    return skin


@pytest.mark.parametrize("side", [160, 256, 400])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_picture_that_can_be_graded_passes(seed, side):
    assert assess_quality(eye(seed, side), modality="CFP").verdict != "reject"


def test_a_picture_that_is_too_dark_is_refused_as_such():
    dark = (eye(1) * 0.1).astype(np.uint8)
    assert assess_quality(dark, modality="CFP").reasons[0] == "too_dark"


def test_an_overexposed_picture_is_refused_as_such():
    bright = np.where(eye(1) > 20, np.clip(eye(1).astype(int) * 2 + 160, 0, 255), 4).astype(np.uint8)
    assert assess_quality(bright, modality="CFP").reasons[0] == "too_bright"


def test_a_picture_out_of_focus_scores_below_the_sharp_one():
    sharp, soft = eye(1), cv2.GaussianBlur(eye(1), (0, 0), 9)
    assert assess_quality(soft, modality="CFP").score < assess_quality(sharp, modality="CFP").score
    assert assess_quality(soft, modality="CFP").verdict != "good"


def test_a_closed_lid_is_refused_as_such():
    lid = eye(1)
    y, x = np.mgrid[0:256, 0:256]
    lid[(y < 138) & ((x - 128) ** 2 + (y - 128) ** 2 < 118**2)] = (150, 80, 90)
    quality = assess_quality(lid, modality="CFP")
    assert (quality.verdict, quality.reasons[0]) == ("reject", "eyelid")


def lit_from_the_rim(picture, share):
    """Near-white light over the left part of the field, as lashes or a lens throw it."""
    y, x = np.mgrid[0:256, 0:256]
    left = (x < 256 * share) & ((x - 128) ** 2 + (y - 128) ** 2 < 120**2)
    return np.where(left[:, :, None], 240, picture).astype(np.uint8)


def test_a_reflection_over_a_third_of_the_field_is_refused_as_such():
    quality = assess_quality(lit_from_the_rim(eye(1), 0.4), modality="CFP")
    assert (quality.verdict, quality.reasons[0]) == ("reject", "reflection")


def test_a_small_reflection_is_noted_and_the_picture_kept():
    quality = assess_quality(lit_from_the_rim(eye(1), 0.17), modality="CFP")
    assert (quality.verdict, quality.reasons[0]) == ("usable", "reflection")
    assert 0.06 < quality.features["reflection"] < 0.15


def test_a_white_lesion_inside_the_field_is_no_reflection():
    lesion = cv2.circle(eye(1), (110, 120), 48, (245, 240, 235), -1)
    quality = assess_quality(lesion, modality="CFP")
    assert quality.features["reflection"] == 0.0
    assert "reflection" not in quality.reasons


def test_light_that_veils_the_whole_field_is_no_reflection():
    veiled = np.where(eye(1) > 10, eye(1) // 4 + 170, 0).astype(np.uint8)
    quality = assess_quality(lit_from_the_rim(veiled, 0.4), modality="CFP")
    assert quality.features["reflection"] > 0.15
    assert "reflection" not in quality.reasons


@pytest.mark.parametrize(
    "picture",
    [
        page(),
        face(),
        np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8),
        np.full((256, 256, 3), (180, 60, 40), np.uint8),
        np.full((256, 256, 3), 255, np.uint8),
        b_scan(1),
    ],
    ids=["page", "face", "noise", "red", "white", "b-scan"],
)
def test_what_is_no_fundus_photograph_is_called_not_a_retina(picture):
    quality = assess_quality(picture, modality="CFP")
    assert (quality.verdict, quality.reasons[0]) == ("reject", "not_a_retina")


def test_a_scan_that_can_be_graded_passes():
    assert assess_quality(b_scan(1), modality="OCT").verdict == "good"


def test_a_fundus_photograph_is_no_scan():
    assert assess_quality(eye(1), modality="OCT").reasons[0] == "not_an_oct"


def test_a_scan_without_signal_is_refused_as_such():
    assert "weak_signal" in assess_quality((b_scan(1) * 0.1).astype(np.uint8), modality="OCT").reasons


@pytest.mark.parametrize("columns", [slice(90, 190), slice(0, 100), slice(60, 310)], ids=["middle", "side", "most"])
def test_a_scan_with_empty_columns_is_refused_as_a_blink(columns):
    scan = b_scan(1)
    scan[:, columns] = 18
    quality = assess_quality(scan, modality="OCT")
    assert (quality.verdict, quality.reasons[0]) == ("reject", "blink")


def test_a_vessels_shadow_is_no_blink():
    scan = b_scan(1)
    scan[:, 100:120] = 18
    assert assess_quality(scan, modality="OCT").verdict == "good"


def test_every_reason_of_the_gate_has_an_instruction():
    gates = quality_gate().gates.values()
    reasons = {rule.reason for gate in gates for rule in gate.rules}
    reasons |= {term.reason for gate in gates if gate.model for term in gate.model.terms}
    assert reasons == set(INSTRUCTIONS)


def test_the_gate_says_where_its_numbers_come_from():
    assert {"model", "reject_above", "rules", "not_validated"} <= set(quality_gate().provenance)
