"""What a comparison of sites writes and prints: a strict result, a table that says the same, red where it matters."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError
from eyebright_simulations.study.result_schema import Data, Estimate, Machine
from eyebright_simulations.study.sites_result import Comparison, SiteRow, SitesResult, read_sites_result
from eyebright_simulations.study.sites_table import print_sites, sites_table

CLASSES = ("normal", "glaucoma")
NOTHING = Estimate(value=None, lower=None, upper=None)


def comparison(pooled: float, held_out: float) -> Comparison:
    gap = pooled - held_out
    return Comparison(
        pooled=Estimate(value=pooled, lower=pooled - 0.02, upper=pooled + 0.02),
        held_out=Estimate(value=held_out, lower=held_out - 0.03, upper=held_out + 0.03),
        drop=Estimate(value=gap, lower=gap - 0.05, upper=gap + 0.05),
    )


def made_row(site: str, labels: tuple[int, int], verdict: str, **changed: object) -> SiteRow:
    figures = {name: comparison(0.9, 0.7) for name in ("balanced_accuracy", "macro_auroc", "recall.normal")}
    facts: dict[str, object] = {
        "site": site,
        "tested": sum(labels),
        "groups": 40,
        "labels": dict(zip(CLASSES, labels, strict=True)),
        "untaught": (),
        "comparable_classes": CLASSES,
        "spanning_groups": 1,
        "trained_on": 120,
        "site_alone": 0.5,
        "figures": figures | {"recall.glaucoma": Comparison(pooled=NOTHING, held_out=NOTHING, drop=NOTHING)},
        "comparable": {name: figures[name] for name in ("balanced_accuracy", "macro_auroc")},
        "verdict": verdict,
    }
    return SiteRow.model_validate(facts | changed)


def made_result(*sites: SiteRow) -> SitesResult:
    return SitesResult(
        task="fundus",
        command="eyebright study sites --data manifest.csv",
        options={"recipe": "fundus-vit", "folds": 5, "replicates": 1000},
        data=Data(
            images=200,
            patients=90,
            groups=80,
            labels=dict.fromkeys(CLASSES, 100),
            left_out={"without_site": 2},
            duplicate_images=4,
            duplicate_clusters_across_patients=1,
            fold_sizes=(40, 40, 40, 40, 40),
            manifest_digest="0" * 64,
        ),
        student="mobilenet_v2",
        folds_run=5,
        spanning_groups=1,
        spanning_images=2,
        pooled_trained_on=136.0,
        everywhere=made_row("all sites", (100, 100), "owed to the site", trained_on=None),
        sites=sites or (made_row("east|wing", (80, 40), "owed to the site"), made_row("west", (20, 60), "not settled")),
        findings=("OWED TO THE SITE everywhere: a student does worse.", "CANNOT BE TOLD at x.", "Not settled at west."),
        job_seconds={"pooled": 60.0, "held out": 50.0},
        machine=Machine(cores=2, processor="x86_64", device="cpu", python="3.11"),
        versions={"torch": "2.15.0"},
    )


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "result.json", made_result().to_json())
    assert read_sites_result(tmp_path / "result.json") == made_result()


@pytest.mark.parametrize("content", [b"{}", b'{"schema": "eyebright.study-result/1"}', b"not json"])
def test_a_file_that_is_no_result_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(InputError, match="breaks the schema of a comparison of sites"):
        read_sites_result(tmp_path / "result.json")


def test_a_missing_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no readable result of a comparison of sites"):
        read_sites_result(tmp_path / "result.json")


def test_the_table_has_a_row_per_site_and_what_it_stands_on() -> None:
    page = sites_table(made_result())
    assert "| west | 90.0% (88.0 to 92.0) | 70.0% (67.0 to 73.0) | +20.0 points, +15.0 to +25.0 |" in page
    assert "| west | 90.0% → 70.0% (+20.0 points) | — |" in page
    assert "| west | 80 | 40 | 1 | 120 | 50.0% | 20 | 60 |" in page
    for words in ("OWED TO THE SITE", "without_site 2", "--data manifest.csv", "torch 2.15.0", "2 cores"):
        assert words in page
    assert "Every picture and every answer" not in page


def test_every_line_of_a_grid_has_as_many_cells_as_its_head() -> None:
    blocks = [block for block in sites_table(made_result()).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 3
    for block in blocks:
        assert len({line.replace(r"\|", "").count("|") for line in block.splitlines()}) == 1


def test_what_could_not_be_learned_elsewhere_gets_a_table_of_its_own() -> None:
    lacking = made_row("east", (80, 40), "cannot be told", untaught=("glaucoma",), comparable={})
    page = sites_table(made_result(lacking, made_row("west", (20, 60), "not settled")))
    assert "What can be compared:" in page
    assert "| east | — | — | — | — | — | — | cannot be told |" in page
    assert "Every picture and every answer" in page


def test_what_is_owed_to_the_site_is_printed_in_bold_red(tmp_path: Path) -> None:
    stream = io.StringIO()
    print_sites(Console(file=stream, force_terminal=True, width=120, color_system="standard"), made_result(), tmp_path)
    red = [line for line in stream.getvalue().splitlines() if line.startswith("\x1b[1;31m")]
    assert [line.removeprefix("\x1b[1;31m").split(" at ")[0].split(" everywhere")[0] for line in red] == [
        "OWED TO THE SITE",
        "CANNOT BE TOLD",
    ]
    assert "east|wing" in stream.getvalue()
    assert "90.0% → 70.0%" in stream.getvalue()
