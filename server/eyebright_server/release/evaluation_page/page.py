"""One self-contained page: no script, no font, no request; the page's own policy forbids them.

* It is made of the JSON result alone, so it can hold nothing that the JSON does not. It shows neither the path of the
  data nor a patient; what the manifest calls a site or a camera is shown as written, escaped.
* A template may use only what exists (strict). The same result gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from eyebright_common import __version__
from eyebright_common.durable import write_bytes
from eyebright_common.release import RESEARCH_NOTICE
from eyebright_common.tasks import get_task
from eyebright_learning.audit.clues import CLUE_WORDS
from eyebright_server.release.evaluation_page import charts, wording

_FILTERS = (
    wording.percent,
    wording.plain,
    wording.estimate,
    wording.unit_title,
    wording.fact_title,
    wording.is_decimal,
)
_OVERVIEW = (
    "referable.auroc",
    "referable.sensitivity",
    "referable.specificity",
    "referable.sensitivity_at_specificity",
    "balanced_accuracy",
    "macro_auroc",
    "macro_f1",
    "accuracy",
    "quadratic_kappa",
    "ece",
)
_STRATUM = ("referable.auroc", "referable.sensitivity", "referable.specificity", "balanced_accuracy", "ece")


def write_evaluation_page(result: Mapping[str, Any], path: Path) -> None:
    """Write the page of an ``evaluate_release`` result durably to ``path``."""
    write_bytes(path, render_evaluation(result).encode())


def write_audit_page(result: Mapping[str, Any], path: Path) -> None:
    """Write the page of an audit, as ``eyebright audit --json`` gives it, durably to ``path``."""
    write_bytes(path, render_audit(result).encode())


def render_evaluation(result: Mapping[str, Any]) -> str:
    """Return the page of an evaluation as HTML."""
    referable, curves = result["overall"]["referable"], result["curves"]
    known = result["statistics"]["picture"]["estimates"]
    return (
        page_environment()
        .get_template("evaluation.html.j2")
        .render(
            **_frame(result["release"]["task"]),
            result=result,
            overview=[name for name in _OVERVIEW if name in known],
            of_stratum=_STRATUM,
            confusion=_cells(curves["confusion"]),
            roc=charts.roc_chart(
                curves["roc"], sensitivity=referable["sensitivity"], specificity=referable["specificity"]
            ),
            reliability=charts.reliability_chart(curves["reliability"]),
        )
    )


def render_audit(result: Mapping[str, Any]) -> str:
    """Return the page of an audit as HTML."""
    measured = [(name, clue) for name, clue in result["clues"].items() if clue["balanced_accuracy"] is not None]
    labels = sorted({label for counts in result["sites"].values() for label in counts})
    return (
        page_environment()
        .get_template("audit.html.j2")
        .render(
            **_frame(result["task"]),
            result=result,
            labels=[name for name in get_task(result["task"]).classes if name in labels],
            clue_words=CLUE_WORDS,
            chart=charts.interval_chart(
                [(wording.plain(CLUE_WORDS[name]), clue["balanced_accuracy"]) for name, clue in measured],
                chance=next(iter(result["clues"].values()))["chance"],
                label="Balanced accuracy with which each clue alone predicts the label; the dashed line is chance.",
            ),
        )
    )


def _frame(task: str) -> dict[str, Any]:
    return {
        "notice": RESEARCH_NOTICE,
        "code_version": __version__,
        "task": get_task(task),
        "title_of": wording.title,
        "value_title": wording.value_title,
    }


def _cells(counts: list[list[int]]) -> list[list[dict[str, Any]]]:
    return [
        [{"count": n, "share": n / sum(row) if sum(row) else None, "right": i == j} for j, n in enumerate(row)]
        for i, row in enumerate(counts)
    ]


@cache
def page_environment() -> Environment:
    """Return the templates of every page of this package."""
    environment = Environment(
        loader=PackageLoader("eyebright_server.release.evaluation_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    return environment
