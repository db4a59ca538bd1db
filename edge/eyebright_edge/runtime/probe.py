"""Choosing the runtime: the first one that this machine really has, fastest first, found by asking."""

from __future__ import annotations

from pathlib import Path

from eyebright_common.errors import ReleaseError
from eyebright_edge.runtime.onnx_runtime import OnnxRuntime
from eyebright_edge.runtime.protocol import Runtime


def open_runtime(source: Path, *, threads: int = 2) -> Runtime:
    """Load a release with the best runtime of this machine.

    Args:
        source: A release folder, or the path of a model file.
        threads: Threads inside one operator, for a CPU runtime.

    Raises:
        ReleaseError: this machine has no runtime, or the release cannot be loaded.
    """
    if "CPUExecutionProvider" not in OnnxRuntime.providers():
        raise ReleaseError("ONNX Runtime was built without its CPU provider", fix="Install the wheel from the index.")
    return OnnxRuntime(source, threads=threads)
