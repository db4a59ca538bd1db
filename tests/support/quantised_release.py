"""A tiny release with real variants in it, made by the converters that make those of real releases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eyebright_common.release import MODEL_FILE, RELEASE_FILE, Precision, Release, describe_artefact
from eyebright_common.release.schema import MODEL_FILES
from eyebright_server.release.reference_runtime import ReferenceRuntime
from eyebright_server.release.variants import Yardstick, make_variant
from tiny_release import write_tiny_release


def write_quantised_release(
    folder: Path,
    *,
    version: str = "1",
    precisions: Sequence[Precision] = ("int8",),
    speed_ratio: float = 2.0,
    network: bytes | None = None,
) -> Release:
    """Write a tiny release with variants into ``folder`` and return its description.

    Args:
        folder: Where to.
        version: Of the release.
        precisions: Of the variants.
        speed_ratio: How many times as fast as FP32 they are said to be.
        network: Other bytes for their files, under the same description of what they lose.
    """
    release = write_tiny_release(folder, version=version)
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
    facts, listed = [], [*release.artefacts]
    for precision in precisions:
        variant = make_variant(data, precision, yardstick)
        path = folder / MODEL_FILES[precision]
        path.write_bytes(variant.data if network is None else network)
        size_bytes = path.stat().st_size
        facts.append(variant.facts.model_copy(update={"speed_ratio": speed_ratio, "size_bytes": size_bytes}))
        listed.append(describe_artefact(path))
    described = release.model_copy(update={"variants": tuple(facts), "artefacts": tuple(listed)})
    (folder / RELEASE_FILE).write_bytes(described.to_json())
    return described
