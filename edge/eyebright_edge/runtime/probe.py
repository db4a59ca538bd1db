"""Choosing the runtime: the first one that this machine really has, fastest first, found by asking.

* ``auto`` tries TensorRT where there is an NVIDIA GPU, then ONNX Runtime on it, then ONNX Runtime on the CPU. What the
  configuration names is tried in their place. ONNX Runtime on the CPU comes last, always: a unit can always screen.
* A machine without an NVIDIA GPU takes the release's INT8 network, where one ships and was faster than FP32 when the
  release was built, once it has held its golden cases here. The FP32 network stays in reserve.
* ONNX Runtime's own TensorRT provider builds engines where nobody sees it and is known to keep stale ones: it is used
  only when the configuration says so.
* What could not be used, and why, stands in ``notices``. A runtime without a GPU on a machine without one is no news.
* Whoever opens a runtime for serving proves it on the golden cases first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from eyebright_common.errors import EyebrightError, ReleaseError
from eyebright_common.release import RELEASE_FILE, Release, parse_release
from eyebright_edge.runtime.fallback import RuntimeWithReserve
from eyebright_edge.runtime.golden import prove_runtime
from eyebright_edge.runtime.networks import wants_int8
from eyebright_edge.runtime.onnx_runtime import OnnxRuntime
from eyebright_edge.runtime.protocol import Runtime
from eyebright_edge.runtime.settings import GPU_NODES, Choice, RuntimeSettings, settings_from_environment

_CPU: Choice = "onnxruntime-cpu"
_AUTO: tuple[Choice, ...] = ("tensorrt", "onnxruntime-cuda")


def open_runtime(
    source: Path,
    *,
    threads: int = 2,
    settings: RuntimeSettings | None = None,
    build: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    gpu_nodes: Iterable[Path] = GPU_NODES,
) -> Runtime:
    """Load a release with the best runtime of this machine.

    Args:
        source: A release folder, or the path of a model file (ONNX Runtime alone takes that).
        threads: Threads inside one operator, for a CPU runtime.
        settings: How this unit computes; from the environment when None.
        build: Whether an engine may be built now. That takes minutes, so an update does it and a visit does not.
        progress: Told what is being done meanwhile.
        gpu_nodes: Device files of which one exists where there is an NVIDIA GPU.

    Raises:
        InputError: the configuration names no possible runtime.
        ReleaseError: this machine has no runtime, or the release cannot be loaded.
    """
    chosen = settings_from_environment() if settings is None else settings
    reserve = partial(_open_cpu, source, threads)
    notices: list[str] = []
    gpu = any(node.exists() for node in gpu_nodes)
    for choice in _candidates(chosen.choice, gpu=gpu):
        try:
            first = _open(choice, source, threads, chosen, build, progress)
        except EyebrightError as error:
            # Of this runtime alone: whether the release itself is any good, the reference runtime says below.
            notices.append(f"{choice} is not used: {error}")
        else:
            return RuntimeWithReserve(first, reserve, notices=tuple(notices))
    described = source / RELEASE_FILE
    if described.is_file():
        release = parse_release(described.read_bytes(), source=str(described))
        if wants_int8(release, chosen, gpu=gpu):
            try:
                quantised = _open_quantised(source, release, threads)
            except EyebrightError as error:
                notices.append(f"the INT8 network is not used: {error}")
            else:
                return RuntimeWithReserve(quantised, reserve, notices=tuple(notices))
    cpu = reserve()
    cpu.notices = tuple(notices)
    return cpu


def build_runtime(source: Path) -> Runtime:
    """Load a release as ``open_runtime`` does, and build an engine first if that is what this machine wants.

    For an update, which has the time and runs it off the serving path.
    """
    return open_runtime(source, build=True)


def _candidates(choice: Choice, *, gpu: bool) -> tuple[Choice, ...]:
    if choice != "auto":
        return () if choice == _CPU else (choice,)
    if not gpu:
        return ()
    return tuple(one for one in _AUTO if one == "tensorrt" or OnnxRuntime.has(one))


def _open(
    choice: Choice,
    source: Path,
    threads: int,
    settings: RuntimeSettings,
    build: bool,
    progress: Callable[[str], None],
) -> Runtime:
    if choice != "tensorrt":
        return OnnxRuntime(source, threads=threads, runtime=choice)
    # Imported here: a unit without a GPU never needs it.
    from eyebright_edge.runtime.tensorrt import open_tensorrt

    return open_tensorrt(source, settings, build=build, progress=progress)


def _open_quantised(source: Path, release: Release, threads: int) -> OnnxRuntime:
    """Return the release's INT8 network, proven here."""
    runtime = OnnxRuntime(source, threads=threads, precision="int8")
    prove_runtime(runtime, source, release).require(runtime.name)
    return runtime


def _open_cpu(source: Path, threads: int) -> OnnxRuntime:
    if not OnnxRuntime.has(_CPU):
        raise ReleaseError("ONNX Runtime was built without its CPU provider", fix="Install the wheel from the index.")
    return OnnxRuntime(source, threads=threads)
