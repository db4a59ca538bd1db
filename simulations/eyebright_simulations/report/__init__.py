"""The report of a simulation: ``result.json`` for machines and one ``report.html`` for people.

* ``result_schema`` is the shape of ``result.json``; ``evidence`` is what the page shows beside it.
* ``findings`` says what the comparison means; ``comparing``, ``hospitals``, ``crossings`` prepare the other sections.
* ``page`` puts it together from ``templates``; ``charts`` draws, ``words`` spells, ``pictures`` packs.
"""

from eyebright_simulations.report.evidence import (
    ArmEvidence,
    ArmName,
    BoundaryFlow,
    Duplicates,
    OperatorShare,
    Party,
    ReportEvidence,
    Reproduction,
    SampleVerdict,
    SiteEvidence,
)
from eyebright_simulations.report.page import write_report
from eyebright_simulations.report.result_schema import (
    RESULT_FILE,
    RESULT_SCHEMA,
    SimulationResult,
    parse_result,
    read_result,
    write_result,
)

__all__ = [
    "RESULT_FILE",
    "RESULT_SCHEMA",
    "ArmEvidence",
    "ArmName",
    "BoundaryFlow",
    "Duplicates",
    "OperatorShare",
    "Party",
    "ReportEvidence",
    "Reproduction",
    "SampleVerdict",
    "SimulationResult",
    "SiteEvidence",
    "parse_result",
    "read_result",
    "write_report",
    "write_result",
]
