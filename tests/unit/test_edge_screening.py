"""From pictures to one answer."""

import contextlib
from pathlib import Path

import numpy as np
import pytest

from dicom_objects import OPT, write_dicom
from eyebright_common.errors import ImageError, ReleaseError, TargetRejected
from eyebright_common.manifest import Row, load_prepared
from eyebright_common.release import MODEL_FILE, Eye, ImageDecision, Verdict, decide_patient
from eyebright_edge.screening import (
    ScreenedPicture,
    ServingRelease,
    advice_for,
    decide_visit,
    eye_in_name,
    open_release,
    overlay_attention,
    refused_picture,
    screen_picture,
)
from eyebright_edge.screening.picture import normalised_attention
from pictures import b_scan
from retina_pictures import Pixels, nothing_to_see, retina, save_picture
from tiny_release import HEALTHY_BIAS, REFER_BIAS, write_tiny_release


def opened(folder: Path, bias: tuple[float, ...] = HEALTHY_BIAS) -> ServingRelease:
    write_tiny_release(folder, bias=bias)
    return open_release(folder)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return save_picture(tmp_path / "eye.png", retina())


@pytest.mark.parametrize(("bias", "verdict"), [(HEALTHY_BIAS, Verdict.NO_REFERRAL), (REFER_BIAS, Verdict.REFER)])
def test_a_gradable_picture_gets_the_answer_of_the_network(
    tmp_path: Path, picture: Path, bias: tuple[float, ...], verdict: Verdict
) -> None:
    chosen = opened(tmp_path / "release", bias)
    result = screen_picture(chosen.runtime, chosen.release, picture, eye=Eye.LEFT)
    assert (result.verdict, result.eye) == (verdict, Eye.LEFT)
    assert result.quality is not None
    assert result.quality.verdict != "reject"
    assert sum(result.probabilities.values()) == pytest.approx(1.0)
    ill = sum(value for name, value in result.probabilities.items() if name in chosen.release.referable)
    assert result.decision.score == pytest.approx(ill)


def test_the_same_picture_as_bytes_gives_the_same_score(tmp_path: Path, picture: Path) -> None:
    chosen = opened(tmp_path / "release")
    scores = [
        screen_picture(chosen.runtime, chosen.release, source).decision.score
        for source in (picture, picture.read_bytes())
    ]
    assert scores[0] == scores[1]


def test_the_unit_sees_the_pixels_that_a_hospital_trains_on(tmp_path: Path) -> None:
    chosen = opened(tmp_path / "release")
    image = save_picture(tmp_path / "R_1.jpg", retina(2300))
    row = Row(image_path=image, name="R_1.jpg", modality="CFP", label="normal", patient_id="p")
    hospital = load_prepared([row], modality="CFP", size=64)
    result = screen_picture(chosen.runtime, chosen.release, image)
    assert result.prepared is not None
    assert (result.prepared == hospital.pixels[0]).all()


def test_a_rejected_picture_never_reaches_the_network(tmp_path: Path) -> None:
    chosen = opened(tmp_path / "release", REFER_BIAS)
    dark = save_picture(tmp_path / "dark.png", nothing_to_see())
    result = screen_picture(chosen.runtime, chosen.release, dark)
    assert (result.verdict, result.decision.score, result.attention) == (Verdict.UNGRADABLE, None, None)
    assert result.decision.reasons


def test_a_file_that_is_no_picture_becomes_an_ungradable_result_with_its_fix(tmp_path: Path) -> None:
    chosen = opened(tmp_path / "release")
    (tmp_path / "letter.jpg").write_text("Dear colleague,")
    with pytest.raises(ImageError) as refused:
        screen_picture(chosen.runtime, chosen.release, tmp_path / "letter.jpg")
    result = refused_picture(refused.value, name="letter.jpg", eye=Eye.RIGHT)
    assert (result.verdict, result.decision.reasons) == (Verdict.UNGRADABLE, ("not_an_image",))
    assert result.fix


def test_the_attention_map_is_between_0_and_1_and_covers_only_its_place(tmp_path: Path, picture: Path) -> None:
    chosen = opened(tmp_path / "release", REFER_BIAS)
    result = screen_picture(chosen.runtime, chosen.release, picture)
    assert result.attention is not None
    assert result.prepared is not None
    assert result.attention_class in chosen.release.referable
    assert result.attention.min() >= 0.0
    assert result.attention.max() <= 1.0


def test_a_map_without_positive_parts_covers_nothing() -> None:
    assert normalised_attention(np.full((4, 4), -1.0, np.float32)).max() == 0.0


def test_an_overlay_leaves_the_picture_alone_where_the_network_did_not_look() -> None:
    seen = np.full((64, 64, 3), 100, np.uint8)
    attention = np.zeros((8, 8), np.float32)
    attention[1, 1] = 1.0
    drawn = overlay_attention(seen, attention)
    assert (drawn[40:, 40:] == 100).all()
    assert (drawn[8:16, 8:16] != 100).any()


def test_black_around_the_field_of_view_stays_black_in_an_overlay() -> None:
    assert overlay_attention(np.zeros((32, 32, 3), np.uint8), np.ones((4, 4), np.float32)).max() == 0


def judged(eye: Eye, verdict: Verdict, score: float | None = None) -> ScreenedPicture:
    return ScreenedPicture(name="p", eye=eye, decision=ImageDecision(verdict=verdict, score=score))


def test_one_ungradable_eye_beside_a_negative_one_is_not_a_negative() -> None:
    visit = decide_visit([judged(Eye.RIGHT, Verdict.NO_REFERRAL, 0.1), judged(Eye.LEFT, Verdict.UNGRADABLE)])
    assert visit.verdict is Verdict.UNGRADABLE
    assert "left eye again" in advice_for(visit.decision)


def test_a_missing_eye_is_said_to_be_missing() -> None:
    visit = decide_visit([judged(Eye.RIGHT, Verdict.NO_REFERRAL, 0.1)])
    assert [eye.verdict for eye in visit.decision.eyes] == [Verdict.NO_REFERRAL, Verdict.MISSING]
    assert advice_for(visit.decision) == "Take a picture of the left eye."


def test_three_tries_without_a_gradable_picture_send_the_patient_on() -> None:
    tries = [judged(Eye.LEFT, Verdict.UNGRADABLE)] * 3
    visit = decide_visit([judged(Eye.RIGHT, Verdict.NO_REFERRAL, 0.1), *tries])
    assert visit.verdict is Verdict.REFER
    assert "repeated tries" in advice_for(visit.decision)


def test_two_good_eyes_come_again_in_a_year() -> None:
    visit = decide_visit([judged(eye, Verdict.NO_REFERRAL, 0.1) for eye in (Eye.RIGHT, Eye.LEFT)])
    assert (visit.verdict, advice_for(visit.decision)) == (Verdict.NO_REFERRAL, "Screen again in 12 months.")


def test_a_finding_in_a_picture_of_no_named_eye_refers() -> None:
    assert decide_visit([judged(Eye.UNKNOWN, Verdict.REFER, 0.9)]).verdict is Verdict.REFER


def test_a_referral_says_where_to_go() -> None:
    decision = decide_patient({Eye.RIGHT: [ImageDecision(verdict=Verdict.REFER, score=0.9)]})
    assert advice_for(decision) == "Refer to an ophthalmologist."


@pytest.mark.parametrize(
    ("name", "eye"),
    [
        ("10_left.jpeg", Eye.LEFT),
        ("odir-1005_R.jpg", Eye.RIGHT),
        ("P12-OD-1.png", Eye.RIGHT),
        ("OS.tif", Eye.LEFT),
        ("IMG_0001.jpg", Eye.UNKNOWN),
        ("left_or_right.jpg", Eye.UNKNOWN),
        ("leftover.jpg", Eye.UNKNOWN),
        ("right/IMG_1.jpg", Eye.UNKNOWN),
    ],
)
def test_the_eye_is_read_from_whole_words_of_the_file_name(name: str, eye: Eye) -> None:
    assert eye_in_name(name) is eye


def test_half_a_release_is_refused(tmp_path: Path) -> None:
    write_tiny_release(tmp_path)
    (tmp_path / MODEL_FILE).unlink()
    with pytest.raises(TargetRejected, match="lacks a file"):
        open_release(tmp_path)


def test_a_release_for_other_preprocessing_is_refused(tmp_path: Path) -> None:
    write_tiny_release(tmp_path, preprocessing="something-else")
    with pytest.raises(ReleaseError, match="something-else"):
        open_release(tmp_path)


def volume(folder: Path, *frames: Pixels, **fields: object) -> Path:
    """Write frames of a photograph, grey, as one DICOM object."""
    grey = np.stack([frame.max(axis=2) for frame in frames])
    return write_dicom(folder / "volume.dcm", grey, sop=OPT, **fields)


@pytest.fixture
def scans(tmp_path: Path) -> ServingRelease:
    write_tiny_release(tmp_path / "release", task="oct", bias=HEALTHY_BIAS)
    return open_release(tmp_path / "release")


def test_the_worst_frame_answers_for_a_volume_wherever_it_lies(tmp_path: Path, scans: ServingRelease) -> None:
    frames = [b_scan(seed) for seed in range(4)]
    alone = [
        screen_picture(scans.runtime, scans.release, volume(tmp_path / str(n), frame)) for n, frame in enumerate(frames)
    ]
    scores = [one.decision.score or 0.0 for one in alone]
    for turn in range(4):
        order = [(turn + n) % 4 for n in range(4)]
        said = screen_picture(scans.runtime, scans.release, volume(tmp_path, *(frames[n] for n in order)))
        assert said.decision.score == max(scores)
        assert order[said.frame - 1] == int(np.argmax(scores))


def test_a_volume_of_which_most_cannot_be_judged_is_no_negative(tmp_path: Path, scans: ServingRelease) -> None:
    black = np.zeros_like(b_scan())
    mostly = screen_picture(scans.runtime, scans.release, volume(tmp_path, b_scan(), black, black))
    assert mostly.verdict is Verdict.UNGRADABLE
    assert "weak_signal" in mostly.decision.reasons
    half = screen_picture(scans.runtime, scans.release, volume(tmp_path, black, b_scan()))
    assert (half.verdict, half.frame) == (Verdict.NO_REFERRAL, 2)


def test_a_finding_counts_even_where_most_of_a_volume_cannot_be_judged(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "release", task="oct", bias=REFER_BIAS)
    chosen = open_release(tmp_path / "release")
    black = np.zeros_like(b_scan())
    said = screen_picture(chosen.runtime, chosen.release, volume(tmp_path, black, black, b_scan()))
    assert (said.verdict, said.frame) == (Verdict.REFER, 3)


@pytest.mark.parametrize(("frames", "reason"), [(4, "truncated"), (5000, "too_many_frames"), (-1, "no_such_frame")])
def test_a_volume_that_says_it_has_more_frames_than_it_has_is_refused(
    tmp_path: Path, scans: ServingRelease, frames: int, reason: str
) -> None:
    file = volume(tmp_path, b_scan(0), b_scan(1), NumberOfFrames=frames)
    with pytest.raises(ImageError) as caught:
        screen_picture(scans.runtime, scans.release, file)
    assert caught.value.reason == reason


def test_a_damaged_header_says_nothing_on_the_terminal_but_its_reason(
    tmp_path: Path, scans: ServingRelease, recwarn: pytest.WarningsRecorder
) -> None:
    file = volume(tmp_path, b_scan())
    # The first element without its type: the library takes the object for one of another encoding, and warns.
    odd = file.read_bytes().replace(b"\x08\x00\x16\x00UI", b"\x08\x00\x16\x00\x00\x00")
    assert odd != file.read_bytes()
    with contextlib.suppress(ImageError):
        screen_picture(scans.runtime, scans.release, odd)
    assert [str(one.message) for one in recwarn] == []
