"""Small releases to test with: the description and the golden cases are real, ``model.onnx`` is any bytes."""

from pathlib import Path
from typing import Any

import numpy as np

from eyebright_common.release import (
    GOLDEN_FILE,
    MODEL_FILE,
    RELEASE_FILE,
    RELEASE_SCHEMA,
    RESEARCH_NOTICE,
    GoldenCases,
    Lineage,
    Metrics,
    Preprocessing,
    Provenance,
    Release,
    StudentFacts,
    Threshold,
    describe_artefact,
    save_golden,
)

SIZE = 16


def threshold(value: float = 0.5, split: str = "validation") -> Threshold:
    provenance = Provenance(split=split, rule="sensitivity >= 0.87", images=40, positives=20)
    return Threshold(purpose="referable", value=value, provenance=provenance)


def golden_cases(**changes: Any) -> GoldenCases:
    """Three cases of two classes (healthy, ill) with scores of about 0.88, 0.12 and 0.505."""
    fields: dict[str, Any] = {
        "inputs": np.arange(3 * 3 * SIZE * SIZE, dtype=np.uint8).reshape(3, 3, SIZE, SIZE),
        "logits": np.array([[0.0, 2.0], [2.0, 0.0], [0.0, 0.02]], dtype=np.float32),
        "must_refer": np.array([True, False, False]),
        "referable": np.array([False, True]),
        "threshold": 0.5,
        "temperature": 1.0,
    }
    return GoldenCases(**{**fields, **changes})


def write_release(folder: Path, *, model: bytes = b"any bytes", **changes: Any) -> Release:
    """Write a release folder that reads back; ``changes`` replace fields of its description."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(model)
    save_golden(folder / GOLDEN_FILE, golden_cases())
    fields: dict[str, Any] = {
        "task": "oct-dme",
        "version": "1",
        "modality": "OCT",
        "classes": ("no_dme", "dme"),
        "referable": ("dme",),
        "preprocessing": Preprocessing(id="test/1", image_size=SIZE),
        "temperature": 1.0,
        "thresholds": (threshold(),),
        "student": StudentFacts(arch="mobilenet_v2", parameters=10),
        "metrics": Metrics(split="validation", overall={"accuracy": 0.9}),
        "lineage": Lineage(rounds=1, best_round=1, code_version="0.1.0"),
        "artefacts": tuple(describe_artefact(folder / name) for name in (MODEL_FILE, GOLDEN_FILE)),
        "notice": RESEARCH_NOTICE,
    }
    release = Release(schema_=RELEASE_SCHEMA, **{**fields, **changes})
    (folder / RELEASE_FILE).write_bytes(release.to_json())
    return release
