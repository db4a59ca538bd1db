"""What differs between TensorRT 8.2, 8.6, 10 and 11, in one place.

* **I/O**: named tensors from 8.5, numbered bindings before. **Precision**: flags of the builder up to 10, in the graph
  from 11 (there are no flags then). What a version has is asked of its module, not read off its number, because boards
  carry builds in between.
* Objects that could not be made come as ``None`` or as a ``TypeError`` of the binding; here they become a failure with
  a name.
* TensorRT says through its logger what its return values do not: errors are kept, everything is progress.
"""

import importlib
from typing import Any, Callable, Dict, List

from .failure import Failure

FLAGS, GRAPH = "flags", "graph"
TENSORS, BINDINGS = "tensors", "bindings"
_KEPT_ERRORS = 8
_LONGEST_MESSAGE = 300


def import_tensorrt() -> Any:
    """Return the board's ``tensorrt``; to be called after CUDA has answered.

    Raises:
        Failure: ``no-tensorrt``.
    """
    try:
        return importlib.import_module("tensorrt")
    except Exception as error:
        # A module whose libraries do not fit raises whatever it likes.
        raise Failure("no-tensorrt", "tensorrt cannot be imported (%s: %s)" % (type(error).__name__, error)) from error


class Adapter:
    """One version of TensorRT, seen the same way as every other.

    Args:
        module: The imported ``tensorrt``.
        progress: Told what TensorRT says while it works.

    Attributes:
        io: ``tensors`` or ``bindings``.
        precision: ``flags`` or ``graph``.
    """

    def __init__(self, module: Any, progress: Callable[[str], None]) -> None:
        self.trt = module
        self.io = TENSORS if hasattr(module.ICudaEngine, "num_io_tensors") else BINDINGS
        self.precision = FLAGS if hasattr(module.BuilderFlag, "FP16") else GRAPH
        self.progress = progress
        self.errors: List[str] = []
        self.logger = _new_logger(module, self._heard)

    def facts(self) -> Dict[str, Any]:
        """Return which version it is and which of its ways are taken."""
        return {"tensorrt": str(self.trt.__version__), "io": self.io, "precision": self.precision}

    def make(self, word: str, maker: Callable[..., Any], *arguments: Any) -> Any:
        """Return what ``maker`` makes.

        Raises:
            Failure: ``word``, or ``out-of-memory``, when it made nothing.
        """
        del self.errors[:]
        try:
            made = maker(*arguments)
        except (TypeError, RuntimeError) as error:
            raise self.failure(word, str(error)) from error
        if made is None:
            raise self.failure(word, "TensorRT returned nothing")
        return made

    def failure(self, word: str, message: str) -> Failure:
        """Return a failure with what TensorRT said of it; a lack of memory gets its own name."""
        said = "; ".join([message] + self.errors)
        lowered = said.lower().replace(" ", "")
        return Failure("out-of-memory" if "outofmemory" in lowered else word, said)

    def builder_flags(self, precision: str, refittable: bool) -> List[Any]:
        """Return the builder flags for an engine."""
        flags = []
        if precision == "fp16" and self.precision == FLAGS:
            flags.append(self.trt.BuilderFlag.FP16)
        if refittable:
            flags.append(self.trt.BuilderFlag.REFIT)
        return flags

    def limit_workspace(self, config: Any, size: int) -> None:
        """Give tactics at most ``size`` bytes."""
        if hasattr(config, "set_memory_pool_limit"):
            config.set_memory_pool_limit(self.trt.MemoryPoolType.WORKSPACE, size)
        else:
            config.max_workspace_size = size

    def network_flags(self) -> int:
        """Return what ``create_network`` takes: explicit batch where that has still to be asked for."""
        creation = self.trt.NetworkDefinitionCreationFlag
        return 1 << int(creation.EXPLICIT_BATCH) if hasattr(creation, "EXPLICIT_BATCH") else 0

    def watch(self, config: Any) -> None:
        """Let the builder tell where it stands, where it can."""
        if hasattr(self.trt, "IProgressMonitor") and hasattr(config, "progress_monitor"):
            config.progress_monitor = _new_monitor(self.trt, self.progress)

    def device_memory(self, engine: Any) -> int:
        """Return how much memory of the GPU an engine's context takes, bytes; 0 where the version does not tell."""
        for name in ("device_memory_size_v2", "device_memory_size"):
            if hasattr(engine, name):
                return int(getattr(engine, name))
        return 0

    def _heard(self, is_error: bool, message: str) -> None:
        short = message.strip()[:_LONGEST_MESSAGE]
        if is_error and len(self.errors) < _KEPT_ERRORS:
            self.errors.append(short)
        self.progress(short)


def _new_logger(trt: Any, heard: Callable[[bool, str], None]) -> Any:
    bad = (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)

    class Logger(trt.ILogger):  # type: ignore[misc]  # the board's module, of no known type
        """Hands everything on; TensorRT's own logger would print it."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Take one message."""
            if severity != trt.ILogger.VERBOSE:
                heard(severity in bad, message)

    return Logger()


def _new_monitor(trt: Any, progress: Callable[[str], None]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the board's module, of no known type
        """Where the builder stands, phase by phase."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: Any, num_steps: int) -> None:
            """A phase begins."""
            progress("%s, %d steps" % (phase_name, num_steps))

        def step_complete(self, phase_name: str, step: int) -> bool:
            """A step is done; True goes on."""
            progress("%s, step %d" % (phase_name, step + 1))
            return True

        def phase_finish(self, phase_name: str) -> None:
            """A phase is over."""
            progress("%s, done" % phase_name)

    return Monitor()
