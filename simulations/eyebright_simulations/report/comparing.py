"""The five models side by side: rows of the table, bars, recall, confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eyebright_simulations.report.charts import arm_bars, recall_dots
from eyebright_simulations.report.charts.arms import Bar
from eyebright_simulations.report.evidence import ArmEvidence, ArmName, ReportEvidence
from eyebright_simulations.report.result_schema import Metrics, SimulationResult
from eyebright_simulations.report.words import ARM_TITLES

_NOTHING = ArmEvidence()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """One model with its metrics and what is known beside them."""

    arm: ArmName
    metrics: Metrics
    evidence: ArmEvidence

    @property
    def title(self) -> str:
        """For people."""
        return ARM_TITLES[self.arm]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionCell:
    """One cell: how many, which share of its row, and whether it is right."""

    count: int
    share: float | None
    right: bool


def arm_rows(result: SimulationResult, evidence: ReportEvidence) -> list[ArmRow]:
    """Return the five models, the student first, in the page's order."""
    metrics: dict[ArmName, Metrics] = {
        ArmName.STUDENT: result.student.metrics,
        ArmName.NO_DISTILLATION: result.comparison.no_distillation,
        ArmName.BEST_LOCAL: result.comparison.best_local,
        ArmName.POOLED: result.comparison.pooled,
        ArmName.TEACHER: result.teacher.metrics,
    }
    return [ArmRow(arm=arm, metrics=metrics[arm], evidence=evidence.arms.get(arm, _NOTHING)) for arm in ARM_TITLES]


def balanced_accuracy_bars(rows: Sequence[ArmRow], classes: Sequence[str]) -> Markup:
    """Return the bar chart of balanced accuracy."""
    bars = [
        Bar(
            arm=row.arm,
            value=row.metrics.balanced_accuracy,
            interval=row.evidence.intervals.get("balanced_accuracy"),
        )
        for row in rows
    ]
    return arm_bars(
        bars, label="Balanced accuracy of the five models; the table below has the numbers.", chance=1 / len(classes)
    )


def recall_chart(rows: Sequence[ArmRow], classes: Sequence[str]) -> Markup:
    """Return the chart of recall per class."""
    return recall_dots(
        classes,
        {row.arm: row.metrics.recall for row in rows},
        label="Recall of each class for the five models; the table below has the numbers.",
    )


def confusion_cells(counts: Sequence[Sequence[int]]) -> list[list[ConfusionCell]]:
    """Return the cells of a confusion matrix ``[C, C]``, rows truth, columns answer."""
    return [
        [
            ConfusionCell(count=int(n), share=n / total if (total := sum(row)) else None, right=i == j)
            for j, n in enumerate(row)
        ]
        for i, row in enumerate(counts)
    ]
