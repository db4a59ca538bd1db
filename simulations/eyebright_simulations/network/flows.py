"""What crossed each boundary, in messages and bytes, from the counters of whoever carried it."""

from __future__ import annotations

from eyebright_simulations.network.context import Context
from eyebright_simulations.report import BoundaryFlow, Party


def boundary_flows(context: Context) -> list[BoundaryFlow]:
    """Return every flow of the run; pictures are in none of them, which the hospitals' audit logs can be asked."""
    facts = context.facts
    rounds, teacher, unit = facts["rounds"]["rounds"], facts["teacher"], facts["unit"]
    hospitals = len(facts["cohort"]["hospitals"])
    answers = sum(len(record["accepted"]) + len(record["evaluated"]) for record in rounds)
    return [
        BoundaryFlow(
            sender=Party.OPERATOR,
            receiver=Party.HOSPITAL,
            what="teacher, once",
            size_bytes=hospitals * teacher["size_bytes"],
            count=hospitals,
        ),
        BoundaryFlow(
            sender=Party.OPERATOR,
            receiver=Party.HOSPITAL,
            what="student and plan, to train and to evaluate",
            size_bytes=sum(record["bytes_down"] for record in rounds),
            count=2 * sum(len(record["participants"]) for record in rounds),
        ),
        BoundaryFlow(
            sender=Party.HOSPITAL,
            receiver=Party.OPERATOR,
            what="student updates and counts",
            size_bytes=sum(record["bytes_up"] for record in rounds),
            count=answers,
        ),
        BoundaryFlow(
            sender=Party.OPERATOR,
            receiver=Party.UNIT,
            what="signed metadata and release",
            size_bytes=unit["bytes_pulled"] + unit["poll_bytes"],
            count=unit["requests"] + unit["poll_requests"],
        ),
        BoundaryFlow(
            sender=Party.UNIT,
            receiver=Party.OPERATOR,
            what="status and counts of answers",
            size_bytes=unit["report_bytes"],
            count=unit["reports"],
        ),
    ]
