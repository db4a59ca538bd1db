"""What a release is, on every machine: its description, its golden cases, its decisions.

* ``schema`` is ``release.json``; ``reading`` verifies a release folder against it; ``gate_report`` is ``gate.json``.
* ``golden`` proves a runtime on the cases that travel with the release.
* ``decision`` turns scores into REFER, NO REFERRAL or UNGRADABLE, for a picture, an eye and a patient.

Building a release is the server's; nothing here needs onnx, a runtime or torch.
"""

from eyebright_common.digests import sha256_of
from eyebright_common.release.decision import (
    BOTH_EYES,
    Eye,
    EyeDecision,
    ImageDecision,
    PatientDecision,
    Verdict,
    decide_eye,
    decide_image,
    decide_patient,
    probabilities,
    referable_scores,
)
from eyebright_common.release.gate_report import GATE_SCHEMA, GateReport, GateRule, read_gate
from eyebright_common.release.golden import (
    DECISION_BAND,
    FP32_TOLERANCE,
    GoldenCases,
    GoldenReport,
    compare,
    load_golden,
    prove,
    save_golden,
)
from eyebright_common.release.reading import describe_artefact, read_golden, read_release, verify_artefact
from eyebright_common.release.schema import (
    CARD_FILE,
    GATE_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    REFERABLE_PURPOSE,
    RELEASE_FILE,
    RELEASE_SCHEMA,
    RESEARCH_NOTICE,
    Artefact,
    Lineage,
    Metrics,
    Preprocessing,
    Provenance,
    Release,
    StudentFacts,
    Threshold,
    next_version,
    parse_release,
)

__all__ = [
    "BOTH_EYES",
    "CARD_FILE",
    "DECISION_BAND",
    "FP32_TOLERANCE",
    "GATE_FILE",
    "GATE_SCHEMA",
    "GOLDEN_FILE",
    "MODEL_FILE",
    "REFERABLE_PURPOSE",
    "RELEASE_FILE",
    "RELEASE_SCHEMA",
    "RESEARCH_NOTICE",
    "Artefact",
    "Eye",
    "EyeDecision",
    "GateReport",
    "GateRule",
    "GoldenCases",
    "GoldenReport",
    "ImageDecision",
    "Lineage",
    "Metrics",
    "PatientDecision",
    "Preprocessing",
    "Provenance",
    "Release",
    "StudentFacts",
    "Threshold",
    "Verdict",
    "compare",
    "decide_eye",
    "decide_image",
    "decide_patient",
    "describe_artefact",
    "load_golden",
    "next_version",
    "parse_release",
    "probabilities",
    "prove",
    "read_gate",
    "read_golden",
    "read_release",
    "referable_scores",
    "save_golden",
    "sha256_of",
    "verify_artefact",
]
