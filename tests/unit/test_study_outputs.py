"""What a study writes: a strict result, a table and a plot that say the same."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from eyebright_common.errors import InputError
from eyebright_simulations.study.plot import study_plot
from eyebright_simulations.study.result_schema import (
    Data,
    Estimate,
    Machine,
    Row,
    StudyResult,
    read_result,
    write_result,
)
from eyebright_simulations.study.summary import print_study
from eyebright_simulations.study.table import study_table

CLASSES = ("normal", "glaucoma")
NAMES = ("balanced_accuracy", "macro_auroc", "referable.auroc", "ece", "recall.normal", "recall.glaucoma")


def made_row(name: str, role: str, gap: float, verdict: str) -> Row:
    return Row(
        name=name,
        role=role,
        recipe={} if role == "teacher" else {"ce": 1.0, "kd": 0.0},
        seeds=2,
        metrics={each: Estimate(value=0.8 + gap, lower=0.7 + gap, upper=0.9) for each in NAMES},
        differences={each: Estimate(value=gap, lower=gap - 0.02, upper=gap + 0.02) for each in NAMES},
        kept=None if role == "teacher" else Estimate(value=0.97, lower=None, upper=None),
        verdict=verdict,
    )


def made_result() -> StudyResult:
    return StudyResult(
        kind="ablation",
        task="fundus",
        command="eyebright study ablation --folds 5",
        options={"recipe": "fundus-vit", "folds": 5, "replicates": 1000},
        data=Data(
            images=100,
            patients=60,
            groups=55,
            labels=dict.fromkeys(CLASSES, 50),
            left_out={"truncated": 2},
            duplicate_images=4,
            duplicate_clusters_across_patients=1,
            fold_sizes=(20, 20, 20, 20, 20),
            manifest_digest="0" * 64,
        ),
        folds_run=5,
        pictures_tested=100,
        groups_tested=55,
        rows=(
            made_row("ce", "control", 0.0, "control"),
            made_row("kd", "arm", 0.03, "helped"),
            made_row("a_teacher_<&>", "teacher", -0.03, "hurt"),
        ),
        skipped=(),
        findings=("USELESS TEACHER: none of it.",),
        job_seconds={"ce": 61.0, "kd": 66.0, "a_teacher_<&>": 200.0},
        machine=Machine(cores=2, processor="x86_64", device="cpu", python="3.11"),
        versions={"torch": "2.15.0"},
    )


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    write_result(tmp_path / "result.json", made_result())
    assert read_result(tmp_path / "result.json") == made_result()


@pytest.mark.parametrize("content", [b"{}", b'{"schema": "eyebright.study-result/2"}', b"not json"])
def test_a_file_that_is_no_result_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(InputError, match="breaks the schema of a study result"):
        read_result(tmp_path / "result.json")


def test_the_table_has_a_row_per_model_and_the_command_versions_and_cores() -> None:
    page = study_table(made_result())
    assert "| `kd` | 83.0% (73.0 to 90.0) | +3.0 points (+1.0 to +5.0) | 97.0% |" in page
    assert "| `ce` (control) | 80.0% (70.0 to 90.0) | — |" in page
    for words in ("eyebright study ablation --folds 5", "torch 2.15.0", "2 cores", "USELESS TEACHER", "truncated 2"):
        assert words in page


def test_every_line_of_a_grid_has_as_many_cells_as_its_head() -> None:
    blocks = [block for block in study_table(made_result()).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 3
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_plot_is_well_formed_and_its_dots_lie_where_the_values_are() -> None:
    root = ElementTree.fromstring(study_plot(made_result()))
    space = "{http://www.w3.org/2000/svg}"
    dots = [(float(c.attrib["cx"]), c.attrib["class"]) for c in root.iter(f"{space}circle")]
    assert len(dots) == 5  # three values, two differences
    (control, kind), (helped, _), (plus, better), (hurt, _), (minus, worse) = dots
    assert hurt < control < helped
    zero = next(float(line.attrib["x1"]) for line in root.iter(f"{space}line") if line.attrib["class"] == "zero")
    assert minus < zero < plus
    assert zero - minus == pytest.approx(plus - zero, abs=0.05)
    assert (kind, better, worse) == ("control", "helped", "hurt")


def test_what_is_printed_fits_a_terminal_and_is_loud_about_a_useless_teacher(tmp_path: Path) -> None:
    console = Console(width=100, record=True, file=(tmp_path / "printed").open("w"))
    with console.file:
        print_study(console, made_result(), tmp_path)
        text = console.export_text()
    assert "USELESS TEACHER" in text
    assert "83.0% (73.0 to 90.0)" in text
    assert "+3.0 (+1.0 to +5.0)" in text
    assert max(map(len, text.splitlines()[:12])) <= 100
