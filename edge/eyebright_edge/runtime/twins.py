"""Engines between identical machines: what a builder sends of its own, and what a twin does with it.

A twin takes an engine only for the very key it would build itself, from a signed source (the caller's business), and
puts it among its engines unproven. It serves after it has passed the golden cases here, like one built here; if it does
not pass, it is deleted and one is built.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eyebright_common.errors import InputError, ReleaseError
from eyebright_common.release import read_release
from eyebright_common.release.engines import EngineUpload, check_engine_upload
from eyebright_edge.runtime.board.tensorrt_worker.onnx_weights import outline
from eyebright_edge.runtime.engine_cache import CachedEngine, EngineCache
from eyebright_edge.runtime.settings import RuntimeSettings
from eyebright_edge.runtime.tensorrt import TensorRtRuntime, engine_key


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
    release = read_release(folder)
    return EngineUpload(
        builder=builder,
        task=release.task,
        version=release.version,
        key=engine.key,
        sha256=engine.sha256,
        size_bytes=engine.size_bytes,
        build_seconds=engine.seconds,
        proof=engine.proof,
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
    release = read_release(folder)
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
