"""A whole release of a few kilobytes: a real ONNX graph, real golden cases, a real description.

The graph averages the picture on an 8 × 8 grid, weighs the colours per class (the map), averages the map and adds a
bias (the logits): the release contract at its smallest. Its opinion is chosen through ``bias``.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from eyebright_common.imaging import PREPROCESSING_ID
from eyebright_common.release import (
    CARD_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    RELEASE_FILE,
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
from eyebright_common.tasks import get_task

GRID = 8
HEALTHY_BIAS = (4.0, 0.0, 0.0, 0.0)
REFER_BIAS = (0.0, 4.0, 0.0, 0.0)


def write_tiny_model(path: Path, *, classes: int, image_size: int, bias: Sequence[float], seed: int = 0) -> None:
    """Write the graph: opset 13, IR 7, ``image`` in, ``logits`` and ``cam`` out."""
    weight = np.random.default_rng(seed).normal(0.0, 0.004, (classes, 3, 1, 1)).astype(np.float32)
    pixels = image_size // GRID
    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[pixels] * 2, strides=[pixels] * 2),
        helper.make_node("Conv", ["cells", "weight"], ["cam"], kernel_shape=[1, 1]),
        helper.make_node("ReduceMean", ["cam"], ["pooled"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["pooled", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, image_size, image_size])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, [1, classes, GRID, GRID]),
        ],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.asarray(bias, dtype=np.float32)[None], "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def write_tiny_release(
    folder: Path,
    *,
    version: str = "1",
    task: str = "fundus",
    image_size: int = 64,
    bias: Sequence[float] = HEALTHY_BIAS,
    threshold: float = 0.5,
    preprocessing: str = PREPROCESSING_ID,
    wrong_by: float = 0.0,
    model: bytes | None = None,
) -> Release:
    """Write a release into ``folder`` and return its description.

    Args:
        bias: One number per class, in logit order; decides what the network thinks of any picture.
        preprocessing: The preprocessing id; another one makes a release that this code cannot serve.
        model: Another graph of the same contract and image size, in place of the tiny one.
        wrong_by: Added to every expected golden logit, so that an honest machine fails the proof when it is large.
    """
    what = get_task(task)
    folder.mkdir(parents=True, exist_ok=True)
    if model is None:
        bias = bias[: len(what.classes)]
        write_tiny_model(folder / MODEL_FILE, classes=len(what.classes), image_size=image_size, bias=bias)
    else:
        (folder / MODEL_FILE).write_bytes(model)
    _write_golden(folder, what.referable_mask, image_size, threshold, wrong_by)
    (folder / CARD_FILE).write_text(f"# Release {version}\n{RESEARCH_NOTICE}\n")
    release = Release(
        schema_="eyebright.release/1",
        task=task,
        version=version,
        modality=what.modality,
        classes=what.classes,
        referable=tuple(name for name in what.classes if name in what.referable),
        preprocessing=Preprocessing(id=preprocessing, image_size=image_size),
        temperature=1.0,
        thresholds=(
            Threshold(
                purpose="referable",
                value=threshold,
                provenance=Provenance(split="validation", rule="chosen by hand for a test", images=10, positives=5),
            ),
        ),
        student=StudentFacts(arch="tiny", parameters=4 * len(what.classes)),
        metrics=Metrics(split="test", overall={}),
        lineage=Lineage(rounds=1, best_round=1, code_version="0.0.0"),
        artefacts=tuple(describe_artefact(folder / name) for name in (MODEL_FILE, GOLDEN_FILE, CARD_FILE)),
        notice=RESEARCH_NOTICE,
    )
    (folder / RELEASE_FILE).write_bytes(release.to_json())
    return release


def _write_golden(folder: Path, referable: Sequence[bool], image_size: int, threshold: float, wrong_by: float) -> None:
    inputs = np.random.default_rng(7).integers(0, 256, (3, 3, image_size, image_size), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(folder / MODEL_FILE), providers=["CPUExecutionProvider"])
    logits = np.concatenate([session.run(["logits"], {"image": one[None].astype(np.float32)})[0] for one in inputs])
    save_golden(
        folder / GOLDEN_FILE,
        GoldenCases(
            inputs=inputs,
            logits=logits + np.float32(wrong_by),
            must_refer=np.zeros(len(inputs), dtype=bool),
            referable=np.asarray(referable),
            threshold=threshold,
            temperature=1.0,
        ),
    )
