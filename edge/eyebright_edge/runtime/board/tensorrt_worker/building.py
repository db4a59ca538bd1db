"""Making an engine from an ONNX file, or from an older engine with other weights.

* The engine is written beside its place and synced; the unit's side proves it and moves it there.
* A timing cache is a hint that saves minutes: one that cannot be read is left out.
* FP32 means FP32: the shortened mantissa of newer GPUs (TF32) is off, or golden cases would not agree.
* Refitting wants every weight that the engine knows by name. One that is missing is a failure: the caller builds anew.
"""

import os
import time
from typing import Any, Dict, Optional

from .adapter import Adapter
from .failure import Failure
from .onnx_weights import read_weights


def build(adapter: Adapter, request: Dict[str, Any]) -> Dict[str, Any]:
    """Build ``request["engine"]`` from ``request["model"]``; return its length and the seconds it took.

    Raises:
        Failure: ``null-builder``, ``parse-failed``, ``build-failed``, ``out-of-memory``, ``unreadable``.
    """
    began = time.monotonic()
    model = read_bytes(request["model"])
    builder = adapter.make("null-builder", adapter.trt.Builder, adapter.logger)
    network = adapter.make("null-builder", builder.create_network, adapter.network_flags())
    _parse(adapter, network, model)
    config = adapter.make("null-builder", builder.create_builder_config)
    adapter.limit_workspace(config, int(request["workspace_bytes"]))
    for flag in adapter.builder_flags(request["precision"], request["refittable"]):
        config.set_flag(flag)
    config.clear_flag(adapter.trt.BuilderFlag.TF32)
    used = _give_timing_cache(config, request.get("timing_cache"))
    adapter.watch(config)
    plan = adapter.make("build-failed", builder.build_serialized_network, network, config)
    size = write_whole(request["engine"], plan)
    _keep_timing_cache(config, request.get("timing_cache"))
    return {"size_bytes": size, "seconds": round(time.monotonic() - began, 3), "timing_cache": used}


def refit(adapter: Adapter, request: Dict[str, Any]) -> Dict[str, Any]:
    """Write ``request["engine"]``: ``request["older"]`` with the weights of ``request["model"]``.

    Raises:
        Failure: ``null-engine``, ``null-refitter``, ``refit-incomplete``, ``refit-failed``, ``unreadable``.
    """
    began = time.monotonic()
    weights = _weights(request["model"])
    runtime = adapter.make("null-runtime", adapter.trt.Runtime, adapter.logger)
    older = read_bytes(request["older"])
    engine = adapter.make("null-engine", runtime.deserialize_cuda_engine, older)
    refitter = adapter.make("null-refitter", adapter.trt.Refitter, engine, adapter.logger)
    wanted = list(refitter.get_all_weights())
    strangers = sorted(set(wanted) - set(weights))
    if strangers:
        raise Failure("refit-incomplete", "the network has no weight %r" % strangers[0])
    for name in wanted:
        if not refitter.set_named_weights(name, adapter.trt.Weights(weights[name])):
            raise adapter.failure("refit-failed", "the engine does not take weight %r" % name)
    if list(refitter.get_missing_weights()):
        raise Failure("refit-incomplete", "the engine misses weights")
    if not refitter.refit_cuda_engine():
        raise adapter.failure("refit-failed", "the engine cannot be refitted")
    size = write_whole(request["engine"], adapter.make("refit-failed", engine.serialize))
    return {"size_bytes": size, "seconds": round(time.monotonic() - began, 3), "weights": len(wanted)}


def read_bytes(path: str) -> bytes:
    """Return a file's content.

    Raises:
        Failure: ``unreadable``.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Failure("unreadable", "%s: %s" % (path, error.strerror)) from error


def write_whole(path: str, content: Any) -> int:
    """Write bytes, or a host memory of TensorRT, and sync them; return their number.

    Raises:
        Failure: ``unwritable``.
    """
    data = bytes(content)
    try:
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Failure("unwritable", "%s: %s" % (path, error.strerror)) from error
    return len(data)


def _parse(adapter: Adapter, network: Any, model: bytes) -> None:
    parser = adapter.make("null-builder", adapter.trt.OnnxParser, network, adapter.logger)
    if not parser.parse(model):
        said = [parser.get_error(number).desc() for number in range(parser.num_errors)]
        raise adapter.failure("parse-failed", "; ".join(said[:3]) or "the parser refuses the network")


def _weights(path: str) -> Dict[str, Any]:
    try:
        return read_weights(read_bytes(path))
    except ValueError as error:
        raise Failure("unreadable", "%s: %s" % (path, error)) from error


def _give_timing_cache(config: Any, path: Optional[str]) -> bool:
    if path is None:
        return False
    known = read_bytes(path) if os.path.exists(path) else b""
    # One that is damaged, or of another version or GPU, is replaced: the build takes longer and fills an empty one.
    for content in (known, b""):
        try:
            cache = config.create_timing_cache(content)
            if cache is not None and config.set_timing_cache(cache, False):
                return bool(content)
        except (TypeError, RuntimeError, ValueError):
            continue
    return False


def _keep_timing_cache(config: Any, path: Optional[str]) -> None:
    cache = config.get_timing_cache() if path is not None else None
    if cache is None or path is None:
        return
    draft = path + ".part"
    write_whole(draft, cache.serialize())
    os.replace(draft, path)
