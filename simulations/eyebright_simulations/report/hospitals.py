"""One row per hospital: its pictures, how the student does there, and which hospital it serves worst.

Evidence is matched to ``result.json`` by name; a hospital without evidence keeps its row and shows what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eyebright_simulations.report.charts import Line
from eyebright_simulations.report.evidence import ReportEvidence, SiteEvidence
from eyebright_simulations.report.result_schema import Hospital, SimulationResult
from eyebright_simulations.report.words import in_words, metric_at

ALL = "all hospitals"


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalRow:
    """A hospital with its evidence; ``worst`` marks the lowest balanced accuracy where there is more than one."""

    hospital: Hospital
    evidence: SiteEvidence
    worst: bool = False

    @property
    def pictures(self) -> int:
        """Pictures in its three splits."""
        return self.hospital.train + self.hospital.validation + self.hospital.test


def hospital_rows(result: SimulationResult, evidence: ReportEvidence) -> list[HospitalRow]:
    """Return one row per hospital, in the order of the result."""
    by_name = {site.name: site for site in evidence.sites}
    found = [(h, by_name.get(h.name, SiteEvidence(name=h.name))) for h in result.data.hospitals]
    worst = _worst([site for _, site in found])
    return [HospitalRow(hospital=h, evidence=site, worst=site.name == worst) for h, site in found]


def round_lines(result: SimulationResult, evidence: ReportEvidence) -> dict[str, list[Line]]:
    """Return the lines of the three round charts: ``balanced_accuracy``, ``macro_auroc``, ``loss``."""
    charts: dict[str, list[Line]] = {}
    for metric in ("balanced_accuracy", "macro_auroc"):
        pooled = [None if r.metrics is None else getattr(r.metrics, metric) for r in result.rounds]
        sites = [Line(name=site.name, values=getattr(site, metric)) for site in evidence.sites]
        charts[metric] = [Line(name=ALL, values=pooled, bold=True), *sites]
    charts["loss"] = _loss_lines(evidence)
    return charts


def loss_terms(losses: Sequence[dict[str, float]]) -> list[str]:
    """Return the names of the loss terms in order of first appearance."""
    return list(dict.fromkeys(term for row in losses for term in row))


def _loss_lines(evidence: ReportEvidence) -> list[Line]:
    if evidence.losses:
        rows = [dict(row) for row in evidence.losses]
        total = Line(name="total", values=[row.get("total", sum(row.values())) for row in rows], bold=True)
        terms = [term for term in loss_terms(rows) if term != "total"]
        parts = [Line(name=in_words(term), values=[row.get(term) for row in rows]) for term in terms]
        return [total, *parts] if len(parts) > 1 else [total]
    return [Line(name=site.name, values=site.loss) for site in evidence.sites]


def _worst(sites: Sequence[SiteEvidence]) -> str | None:
    known = [(value, s.name) for s in sites if (value := metric_at(s.metrics, "balanced_accuracy")) is not None]
    return min(known)[1] if len(known) > 1 else None
