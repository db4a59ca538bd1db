"""From a trained student to the ONNX file that ships.

* PyTorch's current exporter writes opset 18 whatever older opset it is asked for (torch 2.15: opset 18 and IR 10), so
  18 is what we ask for, and what we got is asserted before it is lowered to 13.
* The exporter runs on a copy in evaluation mode: the student that goes on training is never touched.
* Weights stay inside the file. Batch normalisation is folded into the convolutions, dropout is gone.
* Its progress lines and warnings are kept off the screen; its errors are not.
* What is written has passed the linter; nothing else is written.

torch is imported when a student is exported, not before: this package also serves the command that checks a release.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import ModelProto

from eyebright_common.durable import write_bytes
from eyebright_common.errors import ExportError
from eyebright_server.release.lint import lint
from eyebright_server.release.lowering import lower

if TYPE_CHECKING:
    from eyebright_learning.models import Student

EXPORTER_OPSET = 18
_PREFIX = "student."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedStudent:
    """The file that ships and what it came from.

    Attributes:
        data: Bytes of ``model.onnx``: opset 13, IR 7.
        unlowered: The exporter's own graph, for comparison.
        weight_names: Names of the initializers, in order of the file.
    """

    data: bytes
    unlowered: bytes
    weight_names: tuple[str, ...]


def export_student(student: Student, *, image_size: int, path: Path | None = None) -> ExportedStudent:
    """Export a student, lower it and check it against the contract.

    Args:
        student: A trained student; left as it is.
        image_size: S, side of the input in pixels.
        path: Where to write the file durably; not at all when None.

    Raises:
        ExportError: the graph breaks the contract; the message names every finding.
    """
    exported = trace_student(student, image_size=image_size)
    lowered = lower(exported, state_names=_state_names(student), prefix=_PREFIX)
    data = lowered.SerializeToString(deterministic=True)
    # The size budget is a rule of the gate, where a person reads it with its number; here anything may be exported.
    findings = lint(data, image_size=image_size, classes=student.classes, size_budget_bytes=len(data))
    if findings:
        raise ExportError(
            "exported graph breaks the release contract", value="; ".join(findings), fix="Nothing was written."
        )
    if path is not None:
        write_bytes(path, data)
    names = tuple(tensor.name for tensor in lowered.graph.initializer)
    return ExportedStudent(data=data, unlowered=exported.SerializeToString(deterministic=True), weight_names=names)


def trace_student(student: Student, *, image_size: int) -> ModelProto:
    """Return the exporter's own graph of a student, before lowering.

    Raises:
        ExportError: the exporter failed, or wrote another opset than it was asked for.
    """
    import torch

    from eyebright_server.release.release_graph import ReleaseGraph

    graph = ReleaseGraph(copy.deepcopy(student).cpu()).eval()
    example = torch.zeros(1, 3, image_size, image_size)
    with _quietly():
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=EXPORTER_OPSET,
            input_names=["image"],
            output_names=["logits", "cam"],
            external_data=False,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise ExportError("the exporter returned nothing", value=f"torch {torch.__version__}")
    model: ModelProto = program.model_proto
    written = [(entry.domain, entry.version) for entry in model.opset_import]
    if written != [("", EXPORTER_OPSET)]:
        raise ExportError(
            f"the exporter wrote opset {written} when asked for {EXPORTER_OPSET}",
            value=f"torch {torch.__version__}",
            fix="Install the torch version in constraints.txt, or teach the lowering pass the new opset.",
        )
    return model


def _state_names(student: Student) -> list[str]:
    # Buffers outside the state (the normalisation's constants) have names as good as those inside it.
    return [*student.state_dict(), *(name for name, _ in student.named_buffers())]


@contextmanager
def _quietly() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
