"""One self-contained page: no script, no font, no request; the page's own policy forbids them.

* Everything given is escaped by the templates; only our own drawings are markup.
* A template may use only what exists (strict): a missing number is a decision of the template, never an accident.
* The same result and evidence give the same bytes.
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
from eyebright_simulations.report import charts, words
from eyebright_simulations.report.comparing import arm_rows, balanced_accuracy_bars, confusion_cells, recall_chart
from eyebright_simulations.report.crossings import crossings, images_out_of_hospitals, journey_facts
from eyebright_simulations.report.evidence import ArmName, Party, ReportEvidence
from eyebright_simulations.report.findings import find, headline
from eyebright_simulations.report.hospitals import hospital_rows, loss_terms, round_lines
from eyebright_simulations.report.pictures import shown_samples
from eyebright_simulations.report.result_schema import SimulationResult, parse_result

SECTIONS = (
    ("summary", "In short"),
    ("how", "How it works"),
    ("data", "Pictures and patients"),
    ("rounds", "Rounds"),
    ("comparison", "Comparison"),
    ("confusion", "Who is taken for what"),
    ("threshold", "Threshold and calibration"),
    ("sites", "Hospital by hospital"),
    ("release", "Release"),
    ("unit", "Screening unit"),
    ("samples", "Sample verdicts"),
    ("boundaries", "What crossed each boundary"),
    ("reproduce", "Time and reproduction"),
    ("limits", "Limits and glossary"),
)

_FILTERS = (
    words.percent,
    words.points,
    words.interval,
    words.difference_interval,
    words.count,
    words.counted,
    words.size,
    words.duration,
    words.decimal,
    words.plain,
    words.in_words,
    words.listed,
)


def write_report(result: Mapping[str, Any] | SimulationResult, evidence: ReportEvidence, path: Path) -> None:
    """Write the report of a simulation durably to ``path``.

    Args:
        result: The content of ``result.json``.
        evidence: What the report shows beside it.
        path: The HTML file to write or replace.

    Raises:
        InputError: the result breaks its schema, or a sample picture cannot be shown.
    """
    checked = result if isinstance(result, SimulationResult) else parse_result(result)
    write_bytes(path, render_report(checked, evidence).encode())


def render_report(result: SimulationResult, evidence: ReportEvidence) -> str:
    """Return the page as HTML."""
    return _environment().get_template("report.html.j2").render(_context(result, evidence))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("eyebright_simulations.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    return environment


def _context(result: SimulationResult, evidence: ReportEvidence) -> dict[str, Any]:
    rows = arm_rows(result, evidence)
    findings = find(result, evidence)
    return {
        "sections": SECTIONS,
        "notice": RESEARCH_NOTICE,
        "code_version": __version__,
        "result": result,
        "evidence": evidence,
        "task": evidence.task,
        "classes": result.classes,
        "findings": findings,
        "headline": headline(result, findings),
        "arms": rows,
        "student": rows[0],
        "hospitals": hospital_rows(result, evidence),
        "loss_terms": loss_terms([dict(row) for row in evidence.losses]),
        "crossings": crossings(evidence.flows),
        "images_out": images_out_of_hospitals(evidence.flows),
        "samples": shown_samples(evidence.samples),
        "confusion_cells": confusion_cells,
        "metric_at": words.metric_at,
        "Arm": ArmName,
        "Party": Party,
        "charts": _charts(result, evidence),
    }


def _charts(result: SimulationResult, evidence: ReportEvidence) -> dict[str, Any]:
    rows = arm_rows(result, evidence)
    referable = result.student.metrics.referable
    student = evidence.arms.get(ArmName.STUDENT)
    return {
        "hundred": charts.hundred,
        "journey": charts.journey(journey_facts(result, evidence)),
        "rounds": _round_charts(result, evidence),
        "bars": balanced_accuracy_bars(rows, result.classes),
        "recall": recall_chart(rows, result.classes),
        "roc": charts.roc_chart(
            {arm: found.roc for arm, found in evidence.arms.items() if found.roc is not None},
            sensitivity=referable.sensitivity,
            specificity=referable.specificity,
            label="ROC curves for referral with the student's operating point.",
        ),
        "reliability": charts.reliability_diagram(
            student.reliability if student else (), label="Reliability diagram of the federated student."
        ),
        "mark": charts.legend_mark,
    }


def _round_charts(result: SimulationResult, evidence: ReportEvidence) -> list[tuple[str, Any]]:
    lines = round_lines(result, evidence)
    titles = (("balanced_accuracy", "Balanced accuracy"), ("macro_auroc", "Macro AUROC"), ("loss", "Training loss"))
    drawn = (
        (
            title,
            charts.round_chart(
                lines[key],
                label=f"{title} over the rounds.",
                show=(lambda v: f"{v:.2g}") if key == "loss" else (lambda v: f"{v:.0%}"),
                best_round=evidence.best_round,
                share=key != "loss",
            ),
        )
        for key, title in titles
    )
    return [(title, chart) for title, chart in drawn if chart]
