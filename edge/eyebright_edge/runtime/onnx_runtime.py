"""ONNX Runtime: on the CPU the reference runtime, present on every unit; on a GPU where its build has a provider.

Settings, and why:

* Two threads inside an operator, one operator at a time: a unit has few cores and screens one picture at a time.
* Threads do not spin between pictures: a unit waits for people most of the time, often on a battery.
* No memory arena and no memory pattern: one small static graph gains nothing from them that a unit could spare.
* A provider that was asked for and not taken is refused. ONNX Runtime would go on with the CPU and say nothing.

The graph's inputs and outputs are checked against the release contract when it is loaded, so that a wrong file is
refused by name here and not by a shape error during a visit.

The library is loaded with the first graph: the agent, whose children alone compute, goes without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyebright_common.errors import EyebrightError, ReleaseError
from eyebright_common.release import Precision
from eyebright_common.release.schema import MODEL_FILES
from eyebright_edge.runtime.protocol import FloatArray, require_input

_INPUT = "image"
_OUTPUTS = ["logits", "cam"]
_ERRORS_ONLY = 3
_PROVIDERS = {
    "onnxruntime-cpu": "CPUExecutionProvider",
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}


class OnnxRuntime:
    """A release's graph in ONNX Runtime.

    Args:
        source: A release folder, or the path of a model file.
        threads: Threads inside one operator.
        runtime: One of ``onnxruntime-cpu``, ``onnxruntime-cuda``, ``onnxruntime-tensorrt``.
        precision: Which of a release folder's networks; of a file, what it computes in.

    Raises:
        ReleaseError: the file is missing, is not an ONNX graph, or does not keep the contract.
        EyebrightError: this machine cannot compute so.
    """

    def __init__(
        self, source: Path, *, threads: int = 2, runtime: str = "onnxruntime-cpu", precision: Precision = "fp32"
    ) -> None:
        import onnxruntime

        if not self.has(runtime):
            raise EyebrightError(
                "ONNX Runtime has no such provider here",
                value=runtime,
                fix=f"It has: {', '.join(onnxruntime.get_available_providers())}.",
            )
        model = source / MODEL_FILES[precision] if source.is_dir() else source
        self.name = runtime if precision == "fp32" else f"{runtime}-{precision}"
        self.precision: Precision = precision
        self.notices: tuple[str, ...] = ()
        self._session = _open_session(model, threads, _PROVIDERS[runtime])
        self.image_size, self.classes = _check_contract(self._session, model)

    @staticmethod
    def has(runtime: str) -> bool:
        """Whether the installed ONNX Runtime was built for it."""
        import onnxruntime

        return _PROVIDERS[runtime] in onnxruntime.get_available_providers()

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``logits [1, C]`` and ``cam [1, C, h, w]`` for ``image [1, 3, S, S]``, RGB, range 0–255."""
        require_input(image, self.image_size)
        logits, cam = self._session.run(_OUTPUTS, {_INPUT: image})
        return logits, cam

    def close(self) -> None:
        """Let go of the session."""
        self._session = None


def _open_session(model: Path, threads: int, provider: str) -> Any:
    import onnxruntime

    if not model.is_file():
        fix = "Fetch the release again: `eyebright edge update`."
        raise ReleaseError("the release has no network here", value=model, fix=fix)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=[provider])
    except Exception as error:
        # ONNX Runtime's exceptions share no base class: whatever it says about this file, the file is not usable.
        raise ReleaseError(
            "ONNX Runtime cannot load the network", value=f"{model} ({type(error).__name__})", fix="Fetch it again."
        ) from error
    if provider not in session.get_providers():
        raise EyebrightError("ONNX Runtime does not compute as asked on this machine", value=provider)
    return session


def _check_contract(session: Any, model: Path) -> tuple[int, int]:
    inputs = {value.name: (value.type, value.shape) for value in session.get_inputs()}
    outputs = {value.name: (value.type, value.shape) for value in session.get_outputs()}
    match inputs, outputs:
        case (
            {"image": ("tensor(float)", [1, 3, int(height), int(width)])},
            {"logits": ("tensor(float)", [1, int(classes)]), "cam": ("tensor(float)", [1, int(maps), _, _])},
        ) if height == width and classes == maps and len(inputs) == 1:
            return height, classes
    raise ReleaseError(
        "the network does not keep the release contract",
        value=f"{model}: inputs {inputs}, outputs {outputs}",
        fix="It must take image [1, 3, S, S] and give logits [1, C] and cam [1, C, h, w], all float32.",
    )
