"""The one-screen summary of a finished simulation."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from eyebright_simulations.network.workspace import REPORT_FILE
from eyebright_simulations.report import RESULT_FILE, SimulationResult
from eyebright_simulations.report.result_schema import Metrics


def print_summary(console: Console, result: SimulationResult, out: Path) -> None:
    """Print what came out of a run, and where the report is."""
    console.print(_arms(result))
    data, unit, gate = result.data, result.unit, result.release.gate
    left_out = sum(data.left_out.values())
    console.print(
        f"{data.images:,} pictures of {data.patients:,} patients at {len(data.hospitals)} hospitals and the operator; "
        f"{left_out:,} left out and counted; pictures that left a hospital: 0"
    )
    open_rules = [rule.name for rule in gate.rules if not rule.passed]
    hold = len(gate.rules) - len(open_rules)
    console.print(
        f"release {result.release.version}: gate {'passed' if gate.passed else 'NOT passed'}, "
        f"{hold} of {len(gate.rules)} rules hold, {result.student.size_bytes / 1e6:.1f} MB; "
        f"unit serves {unit.active_release} on {unit.backend}, {unit.golden.decision_flips} golden flips"
    )
    if open_rules:
        console.print(f"a release for patients would also have to hold: {', '.join(open_rules)}")
    console.print(
        f"unit screened {unit.screened:,} pictures: {unit.verdicts.refer:,} patients REFER, "
        f"{unit.verdicts.no_referral:,} NO REFERRAL, {unit.verdicts.ungradable:,} UNGRADABLE"
    )
    console.print(f"{sum(result.seconds.values()):.0f} s in all")
    console.print(f"report  {out / REPORT_FILE}\nresult  {out / RESULT_FILE}", soft_wrap=True)
    console.print("[dim]Research use. Not for diagnosis.[/dim]")


def _arms(result: SimulationResult) -> Table:
    table = Table(title="On test patients that no training step saw (balanced accuracy first)", title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("bal. acc.", "AUROC", "sens.", "spec.", "ECE"):
        table.add_column(heading, justify="right", no_wrap=True)
    comparison = result.comparison
    rows: list[tuple[str, Metrics]] = [
        ("[bold]federated student[/bold]", result.student.metrics),
        (f"best single ({comparison.best_local.hospital})", comparison.best_local),
        ("without distillation", comparison.no_distillation),
        ("pooled training", comparison.pooled),
        ("teacher", result.teacher.metrics),
    ]
    for name, metrics in rows:
        table.add_row(
            name,
            _percent(metrics.balanced_accuracy),
            _percent(metrics.macro_auroc),
            _percent(metrics.referable.sensitivity),
            _percent(metrics.referable.specificity),
            _percent(metrics.ece),
        )
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
