"""Engines between identical machines: what a builder sends of its own, and what a twin does with it.

A twin takes an engine only for the very key it would build itself, from a signed source (the caller's business), and
puts it among its engines unproven. It serves after it has passed the golden cases here, like one built here; if it does
not pass, it is deleted and one is built.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from eyebright_common.errors import EyebrightError, InputError, ReleaseError
from eyebright_common.release import read_release
from eyebright_common.release.engines import EngineKey, EngineUpload, check_engine_upload
from eyebright_edge.runtime.board.tensorrt_worker.onnx_weights import outline
from eyebright_edge.runtime.engine_cache import CachedEngine, EngineCache
from eyebright_edge.runtime.golden import golden_for
from eyebright_edge.runtime.networks import wants_tensorrt
from eyebright_edge.runtime.settings import GPU_NODES, RuntimeSettings
from eyebright_edge.runtime.tensorrt import TensorRtRuntime, engine_key, probe_tensorrt


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedEngine:
    """An engine that this machine would have to build.

    Attributes:
        key: What it is made from and for.
        probed: What ``probe_tensorrt`` found here.
    """

    key: EngineKey
    probed: Mapping[str, Any]


def wanted_engine(
    folder: Path, settings: RuntimeSettings, *, gpu_nodes: Iterable[Path] = GPU_NODES
) -> WantedEngine | None:
    """Return the engine that a release needs here and that is not here; None where TensorRT would not be used.

    Args:
        folder: The release's folder.
        settings: How this unit computes.
        gpu_nodes: Device files of which one exists where there is an NVIDIA GPU.

    Raises:
        EyebrightError: the release cannot be read.
    """
    if not wants_tensorrt(settings, gpu=any(node.exists() for node in gpu_nodes)):
        return None
    release = read_release(folder, networks=())
    try:
        probed = probe_tensorrt(settings)
    except EyebrightError:
        return None  # no TensorRT here: whoever opens the runtime says so, and what is used instead
    key, _ = engine_key(release, settings, probed)
    known, _ = EngineCache(settings.engines).find(key)
    return None if known is not None else WantedEngine(key=key, probed=probed)


def describe_engine(runtime: TensorRtRuntime, folder: Path, *, builder: str) -> EngineUpload:
    """Return what a builder sends along with the engine that ``runtime`` has proven.

    Args:
        runtime: Has the engine loaded.
        folder: The release's folder.
        builder: The builder's name, as in its certificate.

    Raises:
        InputError: the engine is another machine's, or has not been proven here.
    """
    engine = runtime.engine
    if engine.proof is None or engine.made == "adopted":
        raise InputError("this engine is not this machine's own", value=engine.made, fix="Send one built here.")
    release = read_release(folder, networks=())
    golden = golden_for(runtime.precision, folder, release)
    logits = np.concatenate([runtime.run(picture[None].astype(np.float32))[0] for picture in golden.inputs])
    return EngineUpload(
        builder=builder,
        task=release.task,
        version=release.version,
        key=engine.key,
        sha256=engine.sha256,
        size_bytes=engine.size_bytes,
        build_seconds=engine.seconds,
        proof=engine.proof,
        # Seven digits are all that a float32 has, and a third of what Python would write.
        golden_logits=tuple(tuple(float(f"{value:.7g}") for value in row) for row in logits.tolist()),
    )


def adopt_engine(
    upload: EngineUpload,
    engine: Path,
    folder: Path,
    settings: RuntimeSettings,
    probed: Mapping[str, Any],
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> CachedEngine:
    """Put a twin's engine among this machine's, unproven.

    Args:
        upload: Its description.
        engine: Its bytes.
        folder: The release's folder.
        settings: How this unit computes.
        probed: What ``probe_tensorrt`` found here.
        clock: The present time, aware.

    Raises:
        ReleaseError: it is for another machine, another release or other settings.
        TargetRejected: the bytes are not those described.
    """
    release = read_release(folder, networks=())
    check_engine_upload(upload, engine, release)
    key, name = engine_key(release, settings, probed)
    theirs = upload.key.fingerprint
    if not key.fingerprint.is_twin(theirs):
        different = ", ".join(key.fingerprint.differences(theirs)) or "this machine does not know itself well enough"
        raise ReleaseError("the engine is for another machine", value=different, fix="Build the engine on this unit.")
    if key != upload.key:
        raise ReleaseError(
            "the engine was built with other settings",
            value=f"{upload.key.precision} {list(upload.key.flags)}, this unit wants {key.precision} {list(key.flags)}",
            fix="Build the engine on this unit.",
        )
    cache = EngineCache(settings.engines)
    with cache.making():
        shutil.copyfile(engine, cache.draft_file(key))
        adopted = CachedEngine(
            key=key,
            sha256=upload.sha256,
            size_bytes=upload.size_bytes,
            outline=outline((folder / name).read_bytes()),
            made="adopted",
            seconds=0.0,
            at=clock(),
        )
        cache.put(adopted, cache.draft_file(key))
    return adopted
