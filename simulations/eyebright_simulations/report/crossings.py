"""What crossed each boundary, added up, and the picture of how it all hangs together.

A flow that nobody recorded is shown as not recorded. The number of pictures that left a hospital is a sum over what was
counted, and is unknown, not zero, when nothing was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eyebright_simulations.report.charts import JourneyFacts
from eyebright_simulations.report.evidence import BoundaryFlow, Party, ReportEvidence
from eyebright_simulations.report.result_schema import SimulationResult
from eyebright_simulations.report.words import MISSING, count, counted, size


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """One kind of thing across one boundary, over all sites."""

    sender: Party
    receiver: Party
    what: str
    size_bytes: int
    count: int
    images: int
    sites: int


def crossings(flows: Sequence[BoundaryFlow]) -> list[Crossing]:
    """Return the flows added up by sender, receiver and what they are, in order of first appearance."""
    groups: dict[tuple[Party, Party, str], list[BoundaryFlow]] = {}
    for flow in flows:
        groups.setdefault((flow.sender, flow.receiver, flow.what), []).append(flow)
    return [
        Crossing(
            sender=sender,
            receiver=receiver,
            what=what,
            size_bytes=sum(flow.size_bytes for flow in group),
            count=sum(flow.count for flow in group),
            images=sum(flow.images for flow in group),
            sites=len({flow.site for flow in group}),
        )
        for (sender, receiver, what), group in groups.items()
    ]


def images_out_of_hospitals(flows: Sequence[BoundaryFlow]) -> int | None:
    """Return how many pictures left a hospital; None when nothing that left one was recorded."""
    leaving = [flow.images for flow in flows if flow.sender is Party.HOSPITAL]
    return sum(leaving) if leaving else None


def journey_facts(result: SimulationResult, evidence: ReportEvidence) -> JourneyFacts:
    """Return what is written into the picture of the network."""
    held = sum(h.train + h.validation + h.test for h in result.data.hospitals)
    left = images_out_of_hospitals(evidence.flows)
    files = result.release.artefacts
    gate = "passed" if result.release.gate.passed else "NOT passed"
    flips = result.unit.golden.decision_flips
    return JourneyFacts(
        hospitals=(
            counted(len(result.data.hospitals), "hospital"),
            f"{count(held)} pictures",
            "train the student",
            "on their own patients",
        ),
        operator=(
            "Operator",
            "trains the teacher",
            f"averages {counted(len(result.rounds), 'round')}",
            "sees only updates",
        ),
        release=(
            f"Release {result.release.version}",
            f"gate {gate}",
            f"{counted(len(files), 'file')}, {size(sum(f.size_bytes for f in files))}",
            "signed" if result.release.gate.passed else "held back",
        ),
        unit=(
            "Screening unit",
            f"{'proof FAILED' if result.unit.golden.passed is False else 'proved'}, {counted(flips, 'flip')}",
            f"{count(result.unit.screened)} screened",
            "works offline",
        ),
        to_hospitals=("plan, teacher, student", _total(evidence.flows, Party.OPERATOR, Party.HOSPITAL)),
        from_hospitals=("student updates, counts", _total(evidence.flows, Party.HOSPITAL, Party.OPERATOR)),
        into_release=("best round",),
        to_unit=("signed files", _total(evidence.flows, Party.OPERATOR, Party.UNIT)),
        from_unit=(f"status and counts, {_total(evidence.flows, Party.UNIT, Party.OPERATOR)}",),
        wall=f"Pictures that left a hospital: {'not counted' if left is None else count(left)}",
        label=(
            "Hospitals and operator exchange students across the hospital wall; the operator turns the best round into "
            "a signed release; a screening unit fetches it and reports counts. Section 12 has every number."
        ),
    )


def _total(flows: Sequence[BoundaryFlow], sender: Party, receiver: Party) -> str:
    found = [flow.size_bytes for flow in flows if flow.sender is sender and flow.receiver is receiver]
    return size(sum(found)) if found else f"{MISSING} bytes not recorded"
