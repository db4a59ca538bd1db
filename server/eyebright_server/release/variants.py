"""Variants of a release: the same student in less precision, measured against the file it came from.

* ``model.fp16.onnx``: weights and arithmetic in half precision *in the graph*, input and outputs float32, so that the
  release contract is the same. TensorRT 11 has no precision flags; older ones may take it too. On a CPU it is smaller,
  not faster.
* ``model.int8.onnx``: quantise/dequantise pairs, weights per channel, activations calibrated (least and largest value)
  on pictures the operator may use: synthetic ones or the operator's own, never a hospital's. For CPU units; the
  smallest board has no INT8.
* What a variant loses is measured on pictures, one at a time in ONNX Runtime, as the disagreement of its referable
  scores and decisions with those of ``model.onnx``. Speed is this machine's, median of several runs on one thread, and
  decides nothing.
* Names of weights are kept, so what can be refitted from the FP32 file can be from the FP16 one.

Converting is ONNX Runtime's own (``transformers.float16``, ``quantization``). Both are checked by the linter
afterwards; whether a variant loses too much is the gate's to say.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from eyebright_common.errors import ExportError
from eyebright_common.release import Precision, VariantFacts, referable_scores
from eyebright_common.release.schema import MODEL_FILES
from eyebright_server.release.lint import lint
from eyebright_server.release.lowering import IR_VERSION
from eyebright_server.release.reference_runtime import Logits, Pixels, ReferenceRuntime

_WARM_UP, _TIMED = 2, 9
# A unit's golden cases may differ by this many times what this machine saw, and by this much at least.
_TOLERANCE_FACTOR, _LEAST_TOLERANCE = 3.0, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What variants are measured with.

    Attributes:
        pixels: Prepared pictures, uint8 ``[N, 3, S, S]``.
        logits: What ``model.onnx`` gave for them, ``[N, C]``.
        referable: Which classes are referable.
        temperature: Of the release.
        threshold: Of the release.
        band: Half-width in score around the threshold inside which a changed decision is forgiven.
    """

    pixels: Pixels
    logits: Logits
    referable: Sequence[bool]
    temperature: float
    threshold: float
    band: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A variant's file and what was found; ``lint`` is empty when it keeps the contract."""

    data: bytes
    facts: VariantFacts
    lint: tuple[str, ...]


def make_variant(data: bytes, precision: Precision, yardstick: Yardstick) -> Variant:
    """Return a variant of an FP32 release file, linted and measured.

    Args:
        data: Bytes of ``model.onnx``.
        precision: Of the variant.
        yardstick: Pictures to calibrate and measure on.

    Raises:
        ExportError: the converter failed.
    """
    converted = convert(data, precision, yardstick.pixels)
    size, classes = yardstick.pixels.shape[-1], yardstick.logits.shape[1]
    findings = lint(converted, image_size=size, classes=classes, size_budget_bytes=len(converted), precision=precision)
    return Variant(data=converted, facts=measure(converted, data, precision, yardstick), lint=findings)


def convert(data: bytes, precision: Precision, pixels: Pixels) -> bytes:
    """Return an FP32 release file in another precision.

    Args:
        data: Bytes of ``model.onnx``.
        precision: ``fp32`` gives the bytes back.
        pixels: To calibrate on, uint8 ``[N, 3, S, S]``; only ``int8`` looks at them.

    Raises:
        ExportError: the converter failed.
    """
    if precision == "fp32":
        return data
    try:
        with _quietly():
            model = _half(data) if precision == "fp16" else _quantised(data, pixels)
    # The converters raise whatever their checks raise; there is no base class.
    except Exception as error:
        raise ExportError(f"the {precision} variant cannot be made", value=error, fix="Ship FP32 alone.") from error
    return _without_notes(model).SerializeToString(deterministic=True)


def measure(variant: bytes, reference: bytes, precision: Precision, yardstick: Yardstick) -> VariantFacts:
    """Return how far a variant is from the FP32 file on the yardstick's pictures, and how large and fast both are."""
    runtimes = [ReferenceRuntime(variant), ReferenceRuntime(reference)]
    logits = runtimes[0].logits_of(yardstick.pixels)
    finite = bool(np.isfinite(logits).all())
    scores, expected = (
        referable_scores(one, temperature=yardstick.temperature, referable=yardstick.referable)
        for one in (np.nan_to_num(logits, nan=0.0, posinf=0.0, neginf=0.0), yardstick.logits)
    )
    changed = (scores >= yardstick.threshold) != (expected >= yardstick.threshold)
    apart = float(np.abs(logits - yardstick.logits).max()) if finite else None
    milliseconds = [_milliseconds(runtime, yardstick.pixels[0]) for runtime in runtimes]
    return VariantFacts(
        precision=precision,
        file=MODEL_FILES[precision],
        size_bytes=len(variant),
        size_ratio=len(variant) / len(reference),
        pictures=len(scores),
        max_abs_logit_difference=apart,
        max_abs_score_difference=float(np.abs(scores - expected).max()) if finite else 1.0,
        mean_abs_score_difference=float(np.abs(scores - expected).mean()) if finite else 1.0,
        changed_decisions=int(changed.sum()) if finite else len(scores),
        changed_outside_band=int((changed & (np.abs(expected - yardstick.threshold) > yardstick.band)).sum())
        if finite
        else len(scores),
        golden_tolerance=max(_LEAST_TOLERANCE, _TOLERANCE_FACTOR * (apart or 0.0)),
        milliseconds_per_picture=milliseconds[0],
        speed_ratio=milliseconds[1] / milliseconds[0],
    )


def _half(data: bytes) -> ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return _sorted(convert_float_to_float16(onnx.load_model_from_string(data), keep_io_types=True))


def _sorted(model: ModelProto) -> ModelProto:
    """Put every node behind those it reads from: the converter appends its casts at the end."""
    from onnxruntime.quantization.onnx_model import ONNXModel

    whole = ONNXModel(model)
    whole.topological_sort()
    result: ModelProto = whole.model
    return result


def _quantised(data: bytes, pixels: Pixels) -> ModelProto:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Pictures(CalibrationDataReader):  # type: ignore[misc]  # the base class has no types
        def __init__(self) -> None:
            self._left: Iterator[Pixels] = iter(pixels)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self._left, None)
            return None if picture is None else {"image": picture[None].astype(np.float32)}

    model = onnx.load_model_from_string(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        quantize_static(
            model,
            path,
            Pictures(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # The normalisation of the input and the pooled head are cheap, and rounding them costs most.
            nodes_to_exclude=_kept_whole(model),
            op_types_to_quantize=["Conv", "Add", "Mul", "Clip", "Relu", "HardSigmoid", "GlobalAveragePool"],
            # AVX2 without VNNI adds pairs of products in 16 bits: seven-bit weights keep them from saturating.
            reduce_range=True,
        )
        return onnx.load(path)


def _kept_whole(model: ModelProto) -> list[str]:
    """Return the nodes before the first and after the last convolution with a kernel."""
    convolutions = [index for index, node in enumerate(model.graph.node) if node.op_type == "Conv"]
    spatial = [index for index in convolutions if "cam" not in model.graph.node[index].output]
    if not spatial:
        return []
    return [
        node.name for index, node in enumerate(model.graph.node) if not spatial[0] <= index <= spatial[-1] and node.name
    ]


def _without_notes(model: ModelProto) -> ModelProto:
    """Remove what the converters write about themselves; shapes stay, as both need them to be the same."""
    holders: tuple[Any, ...] = (model, model.graph, *model.graph.node, *model.graph.initializer)
    for holder in holders:
        del holder.metadata_props[:]
        holder.ClearField("doc_string")
    del model.graph.value_info[:]
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    model.ir_version = min(model.ir_version, IR_VERSION)
    model.producer_name = "eyebright"
    model.ClearField("producer_version")
    return model


def _milliseconds(runtime: ReferenceRuntime, picture: Pixels) -> float:
    image = picture[None].astype(np.float32)
    taken = []
    for _ in range(_WARM_UP + _TIMED):
        started = time.perf_counter()
        runtime.run(image)
        taken.append(1000.0 * (time.perf_counter() - started))
    return float(np.median(taken[_WARM_UP:]))


@contextmanager
def _quietly() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            root.setLevel(level)
