"""`eyebright edge screen … --pdf --fhir --dicom` as a person types it."""

import json
from pathlib import Path

import pytest

from command_line import exit_code
from eyebright_edge.reports.pdf_fonts import FONT_FOLDERS
from retina_pictures import retina, save_picture
from tiny_release import REFER_BIAS, write_tiny_release
from visit_results import op_photograph

pytestmark = pytest.mark.skipif(
    not (FONT_FOLDERS[0] / "NotoSans-Regular.ttf").is_file(), reason="fonts-noto-core is not installed"
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    write_tiny_release(tmp_path / "release", bias=REFER_BIAS)
    return tmp_path / "release"


def test_a_page_and_a_bundle_are_written_beside_the_answer(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, left = (save_picture(tmp_path / f"Jane_Doe_{name}.png", retina()) for name in ("right", "left"))
    wanted = ("--pdf", tmp_path / "out.pdf", "--fhir", tmp_path / "out.json", "--patient", "P-7", "--language", "es")
    assert exit_code("edge", "screen", right, left, "--release", release, *wanted) == 0
    shown = capsys.readouterr()
    assert "REFER" in shown.out
    assert "out.pdf" in shown.err
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
    text = (tmp_path / "out.json").read_text()
    assert "Doe" not in text
    kinds = [entry["resource"]["resourceType"] for entry in json.loads(text)["entry"]]
    assert kinds == ["DiagnosticReport", "Observation", "Observation", "Device", "Patient"]
    assert (tmp_path / "out.pdf").stat().st_mode & 0o777 == 0o600


def test_a_dicom_picture_gets_its_reports_into_its_study(release: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    right = op_photograph(tmp_path / "right.dcm")
    code = exit_code("edge", "screen", "--right", right, "--release", release, "--dicom", tmp_path / "reports")
    assert code == 0
    assert sorted(file.name for file in (tmp_path / "reports").iterdir()) == ["report.dcm", "structured-report.dcm"]


MISTAKES = {
    "no study": (("--dicom", "{tmp}/reports"), "no picture of this visit came as DICOM"),
    "a language nobody wrote": (("--pdf", "{tmp}/a.pdf", "--language", "xx"), "not written in this language"),
    "a folder in place of a file": (("--fhir", "{tmp}"), "the report cannot be written"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_line(
    mistake: str, release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, word = MISTAKES[mistake]
    right = save_picture(tmp_path / "right.png", retina())
    given = [part.format(tmp=tmp_path) for part in arguments]
    assert exit_code("edge", "screen", right, "--release", release, *given) == 2
    said = capsys.readouterr().err
    assert word in said
    assert "Traceback" not in said
