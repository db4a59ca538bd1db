"""Golden cases: what a machine must reproduce before it serves a release."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from eyebright_common.errors import GoldenMismatch, ReleaseError
from eyebright_common.release import compare, load_golden, prove, save_golden
from release_folders import golden_cases

CAM = np.zeros((1, 2, 1, 1), dtype=np.float32)


def replay(golden, shift=0.0):
    answers = iter(golden.logits)
    return lambda picture: ((next(answers) + np.float32(shift))[None], CAM)


def test_a_machine_that_reproduces_the_logits_passes() -> None:
    golden = golden_cases()
    report = prove(replay(golden), golden)
    assert (report.passed, report.cases, report.max_abs_logit_difference, report.decision_flips) == (True, 3, 0.0, 0)


def test_pictures_are_given_one_at_a_time_as_float32_of_0_to_255() -> None:
    golden, seen = golden_cases(), []
    answers = iter(golden.logits)

    def run(picture):
        seen.append((picture.shape, picture.dtype, picture.max()))
        return next(answers)[None], CAM

    prove(run, golden)
    assert seen == [((1, 3, 16, 16), np.float32, 255.0)] * 3


def test_a_difference_above_the_tolerance_fails_without_any_flip() -> None:
    golden = golden_cases(tolerance=0.01)
    report = prove(replay(golden, shift=0.02), golden)
    assert not report.passed
    assert report.decision_flips == 0
    assert report.max_abs_logit_difference == pytest.approx(0.02, abs=1e-6)


def test_a_flip_outside_the_band_fails_whatever_the_tolerance() -> None:
    golden = golden_cases(tolerance=100.0)
    found = golden.logits.copy()
    found[1] = [0.0, 2.0]
    report = compare(found, golden)
    assert (report.passed, report.decision_flips) == (False, 1)


def test_a_flip_inside_the_band_is_forgiven() -> None:
    golden = golden_cases(tolerance=100.0)
    found = golden.logits.copy()
    found[2] = [0.02, 0.0]
    assert compare(found, golden).passed


def test_a_must_refer_case_inside_the_band_is_not_forgiven() -> None:
    golden = golden_cases(tolerance=100.0, must_refer=np.array([True, False, True]))
    found = golden.logits.copy()
    found[2] = [0.02, 0.0]
    assert compare(found, golden).decision_flips == 1


def test_another_threshold_can_be_judged() -> None:
    golden = golden_cases(tolerance=100.0, must_refer=np.zeros(3, dtype=bool))
    found = golden.logits.copy()
    found[2] = [0.02, 0.0]
    assert compare(found, golden, threshold=0.9).decision_flips == 0


def test_an_output_that_is_not_a_number_fails() -> None:
    golden = golden_cases()
    found = golden.logits.copy()
    found[1, 0] = np.nan
    report = compare(found, golden)
    assert (report.passed, report.decision_flips, report.max_abs_logit_difference) == (False, 1, np.inf)


def test_a_broken_map_fails_though_the_logits_are_right() -> None:
    golden = golden_cases()
    answers = iter(golden.logits)
    report = prove(lambda picture: (next(answers)[None], CAM * np.nan), golden)
    assert not report.passed


def test_a_model_of_another_shape_is_named() -> None:
    with pytest.raises(GoldenMismatch, match=r"logits \(1, 5\)"):
        prove(lambda picture: (np.zeros((1, 5), np.float32), CAM), golden_cases())


def test_a_failed_proof_says_where_and_by_how_much() -> None:
    golden = golden_cases()
    with pytest.raises(GoldenMismatch, match=r"unit 7: logits differ by 1 "):
        prove(replay(golden, shift=1.0), golden).require("unit 7")


def test_cases_read_back_as_they_were_written(tmp_path: Path) -> None:
    golden = golden_cases()
    save_golden(tmp_path / "golden.npz", golden)
    back = load_golden(tmp_path / "golden.npz")
    np.testing.assert_array_equal(back.inputs, golden.inputs)
    np.testing.assert_array_equal(back.logits, golden.logits)
    assert (back.threshold, back.tolerance, back.band) == (golden.threshold, golden.tolerance, golden.band)


def test_equal_cases_give_equal_bytes(tmp_path: Path) -> None:
    save_golden(tmp_path / "a.npz", golden_cases())
    save_golden(tmp_path / "b.npz", golden_cases())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip"])
def test_a_file_that_holds_no_cases_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "golden.npz").write_bytes(content)
    with pytest.raises(ReleaseError, match="cannot be read"):
        load_golden(tmp_path / "golden.npz")


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    arrays = {name: np.array([{"a": 1}], dtype=object) for name in ("inputs", "logits")}
    np.savez(tmp_path / "golden.npz", **arrays)
    with pytest.raises(ReleaseError, match="allow_pickle"):
        load_golden(tmp_path / "golden.npz")


def test_a_small_file_that_unpacks_to_all_memory_is_refused(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("inputs.npy", "w") as file,
    ):
        for _ in range(257):
            file.write(bytes(1 << 20))
    with pytest.raises(ReleaseError, match="256 MiB"):
        load_golden(tmp_path / "golden.npz")


@pytest.mark.parametrize(
    "changes",
    [
        {"logits": np.zeros((2, 2), np.float32)},
        {"logits": np.full((3, 2), np.nan, np.float32)},
        {"referable": np.array([True])},
        {"temperature": 0.0},
        {"threshold": float("nan")},
        {"inputs": np.zeros((3, 4), np.uint8)},
    ],
)
def test_cases_whose_arrays_do_not_fit_together_are_refused(tmp_path: Path, changes: dict) -> None:
    save_golden(tmp_path / "golden.npz", golden_cases(**changes))
    with pytest.raises(ReleaseError, match="cannot be read"):
        load_golden(tmp_path / "golden.npz")
