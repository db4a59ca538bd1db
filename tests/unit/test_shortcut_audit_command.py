"""``eyebright audit`` on a manifest of the shape that is copied most: every class from a collection of its own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from command_line import run_command
from eyebright_common.tasks import get_task
from eyebright_server.release.auditing import audit_data
from eyebright_server.release.evaluation_page import render_audit
from pictures import b_scan, encoded, eye

FUNDUS = get_task("fundus")
SOURCES = {"normal": "odir", "diabetic_retinopathy": "<i>eyepacs</i>", "glaucoma": "harvard", "cataract": "set-4"}
PLANTED = "SECRET-4711"


def write_data(folder: Path, *, mixed: bool = False, each: int = 6) -> Path:
    """A manifest with ``each`` eyes per class; sources are classes, or dealt out evenly."""
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_path", "modality", "label", "patient_id", "site"])
        for number in range(4 * each):
            label = FUNDUS.classes[number % 4]
            name = f"{PLANTED}-{number}.png"
            (folder / name).write_bytes(encoded(eye(seed=number, side=96)))
            site = ("east", "west")[number // 4 % 2] if mixed else SOURCES[label]
            table.writerow([name, "CFP", label, f"{PLANTED}-{number}", site])
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("audit") / "data")


def test_a_copied_set_gets_the_loud_verdict_on_the_screen(copied: Path, capsys) -> None:
    code, out, _ = run_command(capsys, "audit", "--data", copied, "--replicates", 50)
    assert code == 0
    assert "CLASS IS SOURCE" in out
    assert "24 pictures of 24 patients" in out
    assert PLANTED not in out


def test_machines_get_one_json_object_and_people_a_page(copied: Path, tmp_path: Path, capsys) -> None:
    page = tmp_path / "audit.html"
    code, out, _ = run_command(capsys, "audit", "--data", copied, "--json", "--page", page, "--replicates", 50)
    result, shown = json.loads(out), page.read_text()
    assert (code, result["verdict"]["level"], result["task"]) == (0, "class_is_source", "fundus")
    assert result["clues"]["site"]["balanced_accuracy"]["value"] == 1.0
    assert result["clues"]["shape"]["why_not_measured"] == "picture shape is the same for all pictures"
    assert "CLASS IS SOURCE" in shown
    assert "&lt;i&gt;eyepacs&lt;/i&gt;" in shown
    assert PLANTED not in out + shown
    assert "<script" not in shown
    assert "src=" not in shown


def test_sources_dealt_out_evenly_are_no_shortcut(tmp_path: Path) -> None:
    found = audit_data(write_data(tmp_path / "data", mixed=True), replicates=50)
    assert found["exclusive_classes"] == []
    assert found["shared_information"]["share"] == pytest.approx(0.0, abs=0.05)
    assert not any(said.startswith("Site") for said in found["verdict"]["sentences"])


def test_the_task_is_found_from_the_labels(tmp_path: Path) -> None:
    for label in ("NORMAL", "DRUSEN"):
        for number in range(4):
            file = tmp_path / label / f"{label}-{number}{label[0]}-1.png"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(encoded(b_scan(seed=10 * number + ord(label[0]))))
    found = audit_data(tmp_path, replicates=10)
    assert found["task"].startswith("oct")
    assert "the manifest names no site" in render_audit(found)


def test_a_missing_manifest_is_one_line_and_an_exit_code(tmp_path: Path, capsys) -> None:
    code, out, err = run_command(capsys, "audit", "--data", tmp_path / "nowhere.csv")
    assert (code, out) == (2, "")
    assert "there is no such manifest or folder" in err
    assert "Traceback" not in err


def test_too_few_patients_are_refused(tmp_path: Path, capsys) -> None:
    code, _, err = run_command(capsys, "audit", "--data", write_data(tmp_path / "data", each=1))
    assert code == 2
    assert "at least 5 patients" in err


def test_an_unknown_task_is_refused_with_the_known_ones(copied: Path, capsys) -> None:
    code, _, err = run_command(capsys, "audit", "--data", copied, "--task", "ear")
    assert code == 2
    assert "unknown task: ear" in err
