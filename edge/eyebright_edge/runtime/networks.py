"""Which networks of a release this machine computes with: what an update fetches, and what a unit keeps of it.

=====================================  ====================================================================
this machine                           besides ``model.onnx``, which is always there and always in reserve
=====================================  ====================================================================
a CPU alone                            ``model.int8.onnx``, if it was faster than FP32 when it was built
an NVIDIA GPU, TensorRT 11 or newer    ``model.fp16.onnx``: engines are built from it
an NVIDIA GPU, older or no TensorRT    nothing: engines are built from ``model.onnx``
=====================================  ====================================================================

* What the settings rule out (``EYEBRIGHT_RUNTIME``, ``EYEBRIGHT_PRECISION``) is not needed.
* The conditions are those of ``probe`` and ``tensorrt``, asked without loading what computes: the agent asks them at
  every look.
* TensorRT is asked its version once in the life of a process; while it does not answer, nothing is needed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from eyebright_common.errors import EyebrightError
from eyebright_common.release import Precision, Release
from eyebright_common.release.schema import MODEL_FILES
from eyebright_edge.runtime.settings import GPU_NODES, RuntimeSettings, settings_from_environment

Probe = Callable[[RuntimeSettings], Mapping[str, Any]]


class NeededNetworks:
    """What this machine needs of any release.

    Args:
        settings: How this unit computes; from the environment when None.
        gpu_nodes: Device files of which one exists where there is an NVIDIA GPU.
        probe: Tells what TensorRT there is; the board's worker when None.
    """

    def __init__(
        self,
        settings: RuntimeSettings | None = None,
        *,
        gpu_nodes: Iterable[Path] = GPU_NODES,
        probe: Probe | None = None,
    ) -> None:
        self._settings = settings
        self._gpu_nodes = tuple(gpu_nodes)
        self._probe = probe
        self._probed: Mapping[str, Any] | None = None

    def __call__(self, release: Release) -> frozenset[Precision]:
        """Return the precisions of the networks to keep; ``fp32`` is always among them.

        Raises:
            InputError: the environment names no possible runtime.
        """
        settings = settings_from_environment() if self._settings is None else self._settings
        needed: set[Precision] = {"fp32"}
        gpu = any(node.exists() for node in self._gpu_nodes)
        if wants_int8(release, settings, gpu=gpu):
            needed.add("int8")
        if wants_tensorrt(settings, gpu=gpu) and self._engines_need_fp16(release, settings):
            needed.add("fp16")
        return frozenset(needed)

    def _engines_need_fp16(self, release: Release, settings: RuntimeSettings) -> bool:
        if settings.precision == "fp32" or release.variant("fp16") is None:
            return False
        # Imported here: a unit without a GPU never needs it.
        from eyebright_edge.runtime.tensorrt import engine_key, probe_tensorrt

        if self._probed is None:
            try:
                self._probed = (self._probe or probe_tensorrt)(settings)
            except EyebrightError:
                return False  # asked again at the next look
        return engine_key(release, settings, self._probed)[1] == MODEL_FILES["fp16"]


def wants_int8(release: Release, settings: RuntimeSettings, *, gpu: bool) -> bool:
    """Whether a machine computes with a release's INT8 network: only a CPU, and the network was faster there."""
    facts = release.variant("int8")
    asked = settings.precision == "auto" and settings.choice in ("auto", "onnxruntime-cpu")
    return asked and not gpu and facts is not None and facts.speed_ratio > 1.0


def wants_tensorrt(settings: RuntimeSettings, *, gpu: bool) -> bool:
    """Whether a machine tries TensorRT."""
    return settings.choice == "tensorrt" or (settings.choice == "auto" and gpu)
