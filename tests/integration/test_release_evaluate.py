"""A stranger checks a release on data that nobody here has seen."""

import csv
import json
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from command_line import run_command
from eyebright_common.errors import GoldenMismatch, InputError, ReleaseError, TargetRejected
from eyebright_common.imaging import Quality
from eyebright_common.release import MODEL_FILE, describe_artefact
from eyebright_server.release.evaluation import evaluate_release, find_release
from eyebright_server.release.reviewing import Review
from tiny_release import HEALTHY_BIAS, REFER_BIAS, write_tiny_release

# Intervals take most of the time of so small an evaluation; one test asks for them.
check = partial(evaluate_release, review=Review(replicates=0))


@pytest.fixture(autouse=True)
def dark_pictures_are_ungradable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the quality gate thinks of drawings is not the matter here; which way its verdict goes is."""

    def verdict(image, *, modality, field):
        dark = image.mean() < 10
        return (
            Quality(verdict="reject", score=0.0, reasons=("too_dark",)) if dark else Quality(verdict="good", score=1.0)
        )

    monkeypatch.setattr("eyebright_common.manifest.loading.assess_quality", verdict)


def write_picture(path: Path, brightness: int) -> None:
    """Write a drawing with vessels of its own: two drawings are two eyes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((64, 64, 3), np.uint8)
    cv2.circle(picture, (32, 32), 30, (brightness // 2, brightness // 2, brightness), -1)
    generator = np.random.default_rng(zlib.crc32(path.name.encode()))
    for ends in generator.integers(8, 56, (12, 2, 2)).tolist():
        cv2.line(picture, *ends, (brightness // 4, brightness // 4, brightness // 2), 2)
    cv2.imwrite(str(path), picture)


def write_data(folder: Path, rows: list[tuple], modality: str = "CFP") -> Path:
    """Rows of (label, patient, eye, site, brightness); a brightness of None writes no picture, -1 a broken one."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_path", "modality", "label", "patient_id", "eye", "site"])
        for number, (label, patient, eye, site, brightness) in enumerate(rows):
            name = f"{number}.png"
            table.writerow([name, modality, label, patient, eye, site])
            if brightness == -1:
                (folder / name).write_bytes(b"\x89PNG\r\n\x1a\nbroken")
            elif brightness is not None:
                write_picture(folder / name, brightness)
    return folder / "manifest.csv"


MIXED = [
    ("normal", "p1", "R", "north", 200),
    ("normal", "p1", "L", "north", 190),
    ("glaucoma", "p2", "R", "north", 180),
    ("diabetic_retinopathy", "p3", "L", "south", 170),
    ("cataract", "p4", "L", "south", 0),
    ("normal", "p5", "R", "south", -1),
    ("amd", "p6", "R", "south", 200),
    ("normal", "p7", "R", "south", None),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data", MIXED)


def release_with(tmp_path: Path, bias=REFER_BIAS, **how) -> Path:
    write_tiny_release(tmp_path / "release", bias=bias, **how)
    return tmp_path / "release"


def test_every_row_is_graded_ungradable_or_left_out_for_a_reason(tmp_path: Path, data: Path) -> None:
    result = check(release_with(tmp_path), data)
    assert result["overall"]["n"] == 4
    assert (result["ungradable"], result["ungradable_reasons"]) == (1, {"too_dark": 1})
    assert result["left_out"]["label_not_in_task:amd"] == 1
    assert result["left_out"]["file_missing"] == 1
    assert 4 + 1 + sum(result["left_out"].values()) == len(MIXED)


def test_metrics_come_per_site_and_overall_in_one_shape(tmp_path: Path, data: Path) -> None:
    result = check(release_with(tmp_path), data)
    assert {site: found["n"] for site, found in result["sites"].items()} == {"north": 3, "south": 1}
    keys = {
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "macro_auroc",
        "recall",
        "precision",
        "ece",
        "referable",
        "n",
    }
    for found in (result["overall"], *result["sites"].values()):
        assert set(found) == keys
        assert set(found["referable"]) == {"auroc", "sensitivity", "specificity", "threshold"}


@pytest.mark.parametrize(("bias", "sensitivity", "specificity"), [(REFER_BIAS, 1.0, 0.0), (HEALTHY_BIAS, 0.0, 1.0)])
def test_the_shipped_threshold_decides(tmp_path: Path, data: Path, bias, sensitivity, specificity) -> None:
    referable = check(release_with(tmp_path, bias), data)["overall"]["referable"]
    assert (referable["sensitivity"], referable["specificity"]) == (sensitivity, specificity)
    assert referable["threshold"] == 0.5


def test_an_ungradable_picture_counts_as_referred_in_the_pipeline(tmp_path: Path, data: Path) -> None:
    result = check(release_with(tmp_path, HEALTHY_BIAS), data)
    pipeline = result["with_ungradable_as_refer"]
    # Of glaucoma, retinopathy and the dark cataract, only the last is sent on.
    assert (pipeline["sensitivity"], pipeline["specificity"], pipeline["n"]) == (1 / 3, 1.0, 5)
    assert pipeline["sites"]["south"]["sensitivity"] == 1 / 2


def test_patients_are_judged_by_their_worst_eye(tmp_path: Path, data: Path) -> None:
    patients = check(release_with(tmp_path, HEALTHY_BIAS), data)["patients"]
    assert (patients["refer"], patients["no_referral"], patients["ungradable"], patients["n"]) == (0, 3, 1, 4)


def test_intervals_resample_patients_and_hold_the_figure(tmp_path: Path) -> None:
    rows = [(("normal", "glaucoma")[n % 2], f"p{n // 2}", "RL"[n % 2], "", 60 + 20 * n) for n in range(8)]
    result = evaluate_release(release_with(tmp_path), write_data(tmp_path / "data", rows), review=Review(replicates=50))
    assert set(result["intervals"]) == {"balanced_accuracy", "macro_auroc", "referable_auroc"}
    lower, upper = result["intervals"]["referable_auroc"]
    assert lower <= result["overall"]["referable"]["auroc"] <= upper


def test_one_patient_is_too_few_for_an_interval(tmp_path: Path) -> None:
    rows = [("normal", "p1", "R", "", 200), ("glaucoma", "p1", "L", "", 100)]
    result = evaluate_release(release_with(tmp_path), write_data(tmp_path / "data", rows), review=Review(replicates=50))
    assert set(result["intervals"].values()) == {None}


def test_a_class_without_a_picture_is_named_and_has_no_recall(tmp_path: Path, data: Path) -> None:
    result = check(release_with(tmp_path), data)
    assert result["absent_classes"] == ["cataract"]
    assert result["overall"]["recall"]["cataract"] is None


def test_labels_are_read_for_the_releases_task_not_for_the_task_that_would_fit_better(tmp_path: Path) -> None:
    rows = [("normal", "p1", "R", "", 200), ("drusen", "p2", "R", "", 200), ("cnv", "p3", "R", "", 200)]
    data = write_data(tmp_path / "data", rows, modality="OCT")
    result = check(release_with(tmp_path, task="oct"), data)
    assert (result["overall"]["n"], result["absent_classes"]) == (3, ["dme"])


def test_data_of_another_task_is_refused_with_what_it_holds(tmp_path: Path, data: Path) -> None:
    with pytest.raises(InputError, match="modality_not_in_task:CFP"):
        check(release_with(tmp_path, task="oct"), data)


def test_data_without_one_gradable_picture_is_refused_with_the_reasons(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", [("normal", "p1", "R", "", 0), ("glaucoma", "p2", "R", "", 0)])
    with pytest.raises(InputError, match=r"not one picture.*ungradable:too_dark"):
        check(release_with(tmp_path), data)


def test_a_folder_per_class_is_data_too(tmp_path: Path) -> None:
    for number, label in enumerate(["normal", "glaucoma", "normal"]):
        write_picture(tmp_path / "data" / label / f"{label}-{number}-1.png", 200)
    assert check(release_with(tmp_path), tmp_path / "data")["overall"]["n"] == 3


def test_a_damaged_model_is_refused_before_anything_runs(tmp_path: Path, data: Path) -> None:
    release = release_with(tmp_path)
    model = release / MODEL_FILE
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    with pytest.raises(TargetRejected, match=r"model\.onnx"):
        check(release, data)


def test_a_model_that_was_never_one_is_refused_by_name(tmp_path: Path, data: Path) -> None:
    release = release_with(tmp_path)
    description = json.loads((release / "release.json").read_text())
    (release / MODEL_FILE).write_bytes(b"garbage")
    entry = describe_artefact(release / MODEL_FILE).model_dump()
    description["artefacts"] = [entry if a["name"] == MODEL_FILE else a for a in description["artefacts"]]
    (release / "release.json").write_text(json.dumps(description))
    with pytest.raises(ReleaseError, match="ONNX Runtime cannot load"):
        check(release, data)


def test_a_release_that_fails_its_golden_cases_here_is_not_judged(tmp_path: Path, data: Path) -> None:
    with pytest.raises(GoldenMismatch):
        check(release_with(tmp_path, wrong_by=1.0), data)


def test_a_release_for_pictures_prepared_otherwise_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(ReleaseError, match="prepared in another way"):
        check(release_with(tmp_path, preprocessing="other/9"), data)


def test_a_run_folder_with_one_release_and_its_copies_is_found(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "run" / "releases" / "1")
    write_tiny_release(tmp_path / "run" / "unit" / "slots" / "a")
    write_tiny_release(tmp_path / "run" / "releases" / ".2.draft", version="2")
    assert find_release(tmp_path / "run") == tmp_path / "run" / "releases" / "1"


def test_a_run_folder_with_two_releases_asks_which(tmp_path: Path) -> None:
    for version in ("1", "2"):
        write_tiny_release(tmp_path / version, version=version)
    with pytest.raises(ReleaseError, match="2 different releases"):
        find_release(tmp_path)


def test_a_folder_without_a_release_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no release here.*Name the folder"):
        find_release(tmp_path)


def evaluate(capsys: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    return run_command(capsys, "evaluate", *arguments)


def test_the_command_prints_one_json_object_for_machines(tmp_path: Path, data: Path, capsys) -> None:
    code, out, _ = evaluate(capsys, "--release", release_with(tmp_path), "--data", data, "--json")
    assert code == 0
    assert json.loads(out)["overall"]["n"] == 4


def test_the_command_prints_a_table_for_people(tmp_path: Path, data: Path, capsys) -> None:
    code, out, _ = evaluate(capsys, "--release", release_with(tmp_path), "--data", data)
    assert code == 0
    for words in (
        "fundus release 1",
        "north",
        "south",
        "Ungradable: 1 (too_dark 1)",
        "No picture of: cataract",
        "Not for",
    ):
        assert words in out


def test_the_command_writes_a_page_without_patients_or_files(tmp_path: Path, capsys) -> None:
    rows = [("normal", "SECRET-1", "R", "north", 200), ("glaucoma", "SECRET-2", "L", "north", 180)]
    data, page = write_data(tmp_path / "SECRET", rows), tmp_path / "page.html"
    options = ("--prevalence", 0.03, "--graded", "--page", page)
    code, out, _ = evaluate(capsys, "--release", release_with(tmp_path), "--data", data, *options)
    shown = page.read_text()
    assert code == 0
    assert "95 % intervals" in out
    for words in ("Quadratic kappa", "3%", "fewer than 20 patients"):
        assert words in shown
    assert "SECRET" not in shown
    assert "0.png" not in shown


def test_a_prevalence_in_per_cent_is_refused_before_anything_runs(tmp_path: Path, data: Path, capsys) -> None:
    code, out, err = evaluate(capsys, "--release", release_with(tmp_path), "--data", data, "--prevalence", 5)
    assert (code, out) == (2, "")
    assert "a prevalence must lie between 0 and 1: 5.0. Write five per cent as 0.05." in err


def test_a_mistake_is_one_line_and_an_exit_code(tmp_path: Path, data: Path, capsys) -> None:
    code, out, err = evaluate(capsys, "--release", tmp_path / "nowhere", "--data", data)
    assert (code, out) == (5, "")
    assert "there is no release here" in err
    assert "Traceback" not in err


def test_checking_a_release_never_loads_torch() -> None:
    check = "import sys, eyebright_server.release.evaluate_command as c; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
