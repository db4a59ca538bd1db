"""A tiny release with a real INT8 network in it, made by the converter that makes those of real releases."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eyebright_common.release import MODEL_FILE, RELEASE_FILE, Release, describe_artefact
from eyebright_common.release.schema import MODEL_FILES
from eyebright_server.release.reference_runtime import ReferenceRuntime
from eyebright_server.release.variants import Yardstick, make_variant
from tiny_release import write_tiny_release


def write_quantised_release(folder: Path, *, speed_ratio: float = 2.0, network: bytes | None = None) -> Release:
    """Write a tiny release with ``model.int8.onnx`` into ``folder`` and return its description.

    Args:
        folder: Where to.
        speed_ratio: How many times as fast as FP32 it is said to be.
        network: Other bytes for the INT8 file, under the same description of what it loses.
    """
    release = write_tiny_release(folder)
    size = release.preprocessing.image_size
    pixels = np.random.default_rng(3).integers(0, 256, (16, 3, size, size), dtype=np.uint8)
    data = (folder / MODEL_FILE).read_bytes()
    yardstick = Yardstick(
        pixels=pixels,
        logits=ReferenceRuntime(data).logits_of(pixels),
        referable=release.referable_mask,
        temperature=release.temperature,
        threshold=release.threshold.value,
        band=0.02,
    )
    variant = make_variant(data, "int8", yardstick)
    path = folder / MODEL_FILES["int8"]
    path.write_bytes(variant.data if network is None else network)
    facts = variant.facts.model_copy(update={"speed_ratio": speed_ratio, "size_bytes": path.stat().st_size})
    described = release.model_copy(
        update={"variants": (facts,), "artefacts": (*release.artefacts, describe_artefact(path))}
    )
    (folder / RELEASE_FILE).write_bytes(described.to_json())
    return described
