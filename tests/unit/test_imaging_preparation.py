"""Field of view and the square picture the network sees."""

import cv2
import numpy as np
import pytest

from eyebright_common.imaging import field_of_view, model_input, prepare
from eyebright_common.imaging.preparation import field_square, inscribed_disc
from pictures import b_scan, eye


@pytest.mark.parametrize("side", [160, 256, 640, 1500])
def test_the_field_is_found_at_any_size(side):
    field = field_of_view(eye(1, side, fill=0.8, centre=(0.55, 0.48)))
    assert field.bounded
    assert field.confidence > 0.8
    assert field.center == pytest.approx((0.55 * side, 0.48 * side), abs=0.02 * side)
    assert (field.radius_x, field.radius_y) == pytest.approx((0.4 * side, 0.4 * side), rel=0.04)


def test_the_field_is_found_in_a_very_dark_picture():
    dark = (eye(1).astype(float) * 0.12).astype(np.uint8)
    assert field_of_view(dark).radius_x == pytest.approx(0.47 * 256, rel=0.05)


def test_burned_in_text_does_not_move_the_field():
    marked = eye(1, fill=0.8)
    cv2.putText(marked, "OD 2021-03-04", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    assert field_of_view(marked).radius_y == pytest.approx(0.4 * 256, rel=0.04)


def test_a_field_cut_at_top_and_bottom_keeps_its_circle():
    cut = eye(1, 320, fill=1.0)[40:280]
    field = field_of_view(cut)
    assert field.radius_y == pytest.approx(160, rel=0.06)
    assert field.clipped > 0.1


def test_a_crop_inside_the_disc_is_its_own_field():
    field = field_of_view(eye(1)[70:190, 70:190])
    assert not field.bounded
    assert (field.radius_x, field.radius_y) == (60, 60)


def test_a_squeezed_picture_is_prepared_like_the_original():
    original = eye(1, 320)
    squeezed = cv2.resize(original, (200, 320), interpolation=cv2.INTER_AREA)
    difference = np.abs(
        prepare(original, modality="CFP", size=96).astype(int) - prepare(squeezed, modality="CFP", size=96)
    )
    assert difference.mean() < 4


def test_what_lies_outside_the_field_is_black_whatever_was_there():
    tinted = eye(1)
    tinted[:30, :30] = (60, 60, 200)
    prepared = prepare(tinted, modality="CFP", size=96)
    assert prepared.shape == (96, 96, 3)
    assert not prepared[~inscribed_disc(96)].any()


def test_framing_does_not_change_what_the_network_sees():
    tight = eye(1, 256, fill=0.98)
    loose = cv2.copyMakeBorder(tight, 20, 60, 90, 10, cv2.BORDER_CONSTANT, value=(4, 4, 4))
    difference = np.abs(prepare(tight, modality="CFP", size=96).astype(int) - prepare(loose, modality="CFP", size=96))
    assert difference.mean() < 3


def test_white_margins_of_a_scan_are_gone_and_its_shape_is_kept():
    scan = b_scan(1)
    margined = cv2.copyMakeBorder(scan, 40, 30, 0, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    prepared = prepare(margined, modality="OCT", size=128)
    assert prepared.max(axis=2).mean() < 80
    assert np.abs(prepared.astype(int) - prepare(scan, modality="OCT", size=128)).mean() < 6


def test_a_slanted_white_wedge_turns_black():
    scan = b_scan(1)
    cv2.fillPoly(scan, [np.array([[0, 0], [319, 0], [319, 30]])], (255, 255, 255))
    assert prepare(scan, modality="OCT", size=160)[20:36].max() < 200


def test_a_scan_is_padded_not_stretched():
    prepared = prepare(b_scan(1, width=400, height=200), modality="OCT", size=100)
    assert not prepared[:24].any()
    assert prepared[40:60].any()


def test_the_model_input_is_channels_first_and_unscaled():
    prepared = prepare(eye(1), modality="CFP", size=64)
    tensor = model_input(prepared)
    assert (tensor.shape, tensor.dtype) == ((1, 3, 64, 64), np.float32)
    assert np.array_equal(tensor[0].transpose(1, 2, 0), prepared)


@pytest.mark.parametrize("side", [480, 611, 1224, 2049])
def test_a_field_halved_on_the_way_is_the_same_but_for_rounding(side: int) -> None:
    picture = cv2.GaussianBlur(eye(side=side), (0, 0), side / 400)
    found = field_of_view(picture)
    direct, halved = (field_square(picture, found, 160, halve=halve).astype(np.int16) for halve in (False, True))
    off = np.abs(direct - halved)[inscribed_disc(160, 0.9)]
    assert off.mean() < 0.5
    assert np.quantile(off, 0.99) <= 4
