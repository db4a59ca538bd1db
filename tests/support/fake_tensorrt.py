"""A ``tensorrt`` for tests that computes through ONNX Runtime and has exactly the names of one version.

* Everything the adapter could use is written once; ``surface`` then takes away what the version lacks, by the list of
  names read off the real bindings where that list is on this machine, and by ``LACKS`` everywhere. What is missing
  raises ``AttributeError``, also on assignment, as the real bindings do.
* An engine is the network with a head of JSON. Half precision is that of the outputs: small, real differences.
* ``FAKE_TENSORRT`` is JSON: ``version``, ``names`` (the list's path or null), ``fault`` (what goes wrong, below).

It is imported in the worker's process as ``tensorrt``; see ``fake_tensorrt_board``.
"""

import ctypes
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

_SETUP = json.loads(os.environ.get("FAKE_TENSORRT", "{}"))
VERSION = _SETUP.get("version", "10.3.0")
FAULT = _SETUP.get("fault", "")
_MAGIC = b"FAKE PLAN\n"

_NAMED_IO = ("num_io_tensors", "get_tensor_name", "get_tensor_mode", "get_tensor_dtype", "get_tensor_shape")
_NUMBERED_IO = ("num_bindings", "get_binding_name", "binding_is_input", "get_binding_dtype", "get_binding_shape")
# What the reference's table says a version has not; "" is the module itself.
LACKS: dict[str, dict[str, tuple[str, ...]]] = {
    "8.2": {
        "": ("TensorIOMode", "MemoryPoolType", "IProgressMonitor"),
        "IBuilderConfig": ("set_memory_pool_limit", "progress_monitor"),
        "ICudaEngine": (*_NAMED_IO, "device_memory_size_v2"),
        "IExecutionContext": ("set_tensor_address", "execute_async_v3"),
        "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    },
    "8.6": {
        "": ("IProgressMonitor",),
        "IBuilderConfig": ("progress_monitor",),
        "ICudaEngine": ("device_memory_size_v2",),
        "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    },
    "10.0": {"IBuilderConfig": ("max_workspace_size",), "ICudaEngine": (*_NUMBERED_IO, "device_memory_size_v2")},
    "10.3": {"IBuilderConfig": ("max_workspace_size",), "ICudaEngine": (*_NUMBERED_IO, "device_memory_size_v2")},
    "10.16": {"IBuilderConfig": ("max_workspace_size",), "ICudaEngine": _NUMBERED_IO},
    "11.4": {
        "IBuilderConfig": ("max_workspace_size",),
        "ICudaEngine": (*_NUMBERED_IO, "device_memory_size"),
        "BuilderFlag": ("FP16", "INT8"),
        "NetworkDefinitionCreationFlag": ("EXPLICIT_BATCH",),
    },
}
# Versions without a list of their own: 8.2 is 8.6.1 without what came later, 10.3 has what 10.0.1 and 10.16 both have.
LISTS: dict[str, tuple[str, ...]] = {
    "8.2": ("8.6.1",),
    "8.6": ("8.6.1",),
    "10.0": ("10.0.1",),
    "10.3": ("10.0.1", "10.16.1.11"),
    "10.16": ("10.16.1.11",),
    "11.4": ("11.4.0.106",),
}


class _Enum(int):
    def __new__(cls, value: int, name: str = "") -> "_Enum":
        made = super().__new__(cls, value)
        made.name = name  # type: ignore[attr-defined]
        return made


def _enum(title: str, *names: str) -> type:
    kind = type(title, (_Enum,), {"_kind": "enum"})
    for value, name in enumerate(names):
        setattr(kind, name, kind(value, name))
    return kind


class _Strict:
    """An object of the bindings: nothing can be set on it that it has not got."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        object.__setattr__(self, name, value)


BuilderFlag = _enum("BuilderFlag", "FP16", "INT8", "REFIT", "TF32")
NetworkDefinitionCreationFlag = _enum("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH", "STRONGLY_TYPED")
MemoryPoolType = _enum("MemoryPoolType", "WORKSPACE")
DataType = _enum("DataType", "FLOAT", "HALF", "INT8", "INT32")
TensorIOMode = _enum("TensorIOMode", "NONE", "INPUT", "OUTPUT")
LayerInformationFormat = _enum("LayerInformationFormat", "ONELINE", "JSON")
_Severity = _enum("Severity", "INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = (_Severity(number) for number in range(5))
    Severity = _Severity

    def log(self, severity: Any, message: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def phase_start(self, phase_name: str, parent_phase: Any, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


class IHostMemory(_Strict):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __bytes__(self) -> bytes:
        return self._content

    @property
    def nbytes(self) -> int:
        return len(self._content)


class Weights(_Strict):
    def __init__(self, array: Any) -> None:
        self._array = array

    def numpy(self) -> Any:
        return self._array


class Builder(_Strict):
    def __init__(self, logger: ILogger) -> None:
        if FAULT == "null-builder":
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger

    def create_network(self, flags: int = 0) -> "INetworkDefinition":
        explicit = getattr(NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
        assert explicit is None or flags == 1 << int(explicit), "explicit batch has to be asked for here"
        return INetworkDefinition()

    def create_builder_config(self) -> "IBuilderConfig":
        return IBuilderConfig()

    def build_serialized_network(self, network: "INetworkDefinition", config: "IBuilderConfig") -> IHostMemory | None:
        _go_wrong(self._logger)
        monitor = getattr(config, "progress_monitor", None)
        if monitor is not None:
            monitor.phase_start("Building", None, 1)
            assert monitor.step_complete("Building", 0)
            monitor.phase_finish("Building")
        if FAULT == "build-failed" or (FAULT == "greedy" and config._workspace > 256 << 20):
            said = "OutOfMemory (requested 1 GiB)" if FAULT == "greedy" else "Could not find any implementation"
            self._logger.log(ILogger.ERROR, said)
            return None
        self._logger.log(ILogger.INFO, "Detected 1 inputs and 2 output network tensors.")
        if config._timing is not None:
            config._timing._learnt = True
        half = getattr(BuilderFlag, "FP16", None)
        facts = {"half": half is not None and half in config._flags, "refit": BuilderFlag.REFIT in config._flags}
        return IHostMemory(_plan(facts, network._model))


class INetworkDefinition(_Strict):
    _model = b""


class IBuilderConfig(_Strict):
    max_workspace_size = 0
    progress_monitor: Any = None

    def __init__(self) -> None:
        self._flags: set[int] = {BuilderFlag.TF32}
        self._timing: Any = None
        self._pool = 1 << 62

    @property
    def _workspace(self) -> int:
        return self.__dict__.get("max_workspace_size", self._pool)

    def set_memory_pool_limit(self, pool: int, size: int) -> None:
        assert pool == MemoryPoolType.WORKSPACE
        self._pool = size

    def set_flag(self, flag: int) -> None:
        self._flags.add(flag)

    def clear_flag(self, flag: int) -> None:
        self._flags.discard(flag)

    def create_timing_cache(self, content: bytes) -> "ITimingCache":
        if content and not content.startswith(b"timing"):
            raise TypeError("the timing cache is damaged")
        return ITimingCache()

    def set_timing_cache(self, cache: "ITimingCache", ignore_mismatch: bool) -> bool:
        self._timing = cache
        return True

    def get_timing_cache(self) -> "ITimingCache":
        if self._timing is None:
            self._timing = ITimingCache()
        return self._timing


class ITimingCache(_Strict):
    _learnt = False

    def serialize(self) -> IHostMemory:
        return IHostMemory(b"timing of " + VERSION.encode() if self._learnt else b"timing of nothing")


class ParserError(_Strict):
    def desc(self) -> str:
        return "No importer registered for op: Mystery"


class OnnxParser(_Strict):
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self._failed = False

    def parse(self, model: bytes) -> bool:
        self._failed = FAULT == "parse-failed"
        self._network._model = model
        return not self._failed

    @property
    def num_errors(self) -> int:
        return int(self._failed)

    def get_error(self, number: int) -> ParserError:
        assert number == 0
        return ParserError()


class Runtime(_Strict):
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, content: bytes) -> "ICudaEngine | None":
        facts = _facts(content)
        if FAULT == "null-engine" or facts is None or facts["version"] != VERSION:
            self._logger.log(ILogger.ERROR, "The engine plan file is not compatible with this version of TensorRT")
            return None
        return ICudaEngine(facts, content[content.index(b"\n", len(_MAGIC)) + 1 :])


class ICudaEngine(_Strict):
    device_memory_size = 4096
    device_memory_size_v2 = 4096

    def __init__(self, facts: dict[str, Any], model: bytes) -> None:
        import onnxruntime

        self._facts, self._model = facts, model
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        values = [(True, one) for one in self._session.get_inputs()]
        self._values = values + [(False, one) for one in self._session.get_outputs()]

    @property
    def num_io_tensors(self) -> int:
        return len(self._values)

    def get_tensor_name(self, number: int) -> str:
        return self._values[number][1].name

    def get_tensor_mode(self, name: str) -> Any:
        return TensorIOMode.INPUT if self._named(name)[0] else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return DataType.FLOAT if self._named(name)[1].type == "tensor(float)" else DataType.HALF

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._named(name)[1].shape)

    @property
    def num_bindings(self) -> int:
        return len(self._values)

    def get_binding_name(self, number: int) -> str:
        return self._values[number][1].name

    def binding_is_input(self, number: int) -> bool:
        return self._values[number][0]

    def get_binding_dtype(self, number: int) -> Any:
        return DataType.FLOAT if self._values[number][1].type == "tensor(float)" else DataType.HALF

    def get_binding_shape(self, number: int) -> tuple[int, ...]:
        return tuple(self._values[number][1].shape)

    def create_execution_context(self) -> "IExecutionContext | None":
        return None if FAULT == "null-context" else IExecutionContext(self)

    def create_engine_inspector(self) -> "EngineInspector":
        return EngineInspector(self)

    def serialize(self) -> IHostMemory:
        return IHostMemory(_plan(self._facts, self._model))

    def _named(self, name: str) -> tuple[bool, Any]:
        return next(one for one in self._values if one[1].name == name)


class IExecutionContext(_Strict):
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._runs = 0

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle, "TensorRT wants a stream of its own"
        return self._execute()

    def execute_v2(self, bindings: list[int]) -> bool:
        self._addresses = {one[1].name: at for one, at in zip(self._engine._values, bindings, strict=True)}
        return self._execute()

    def _execute(self) -> bool:
        import numpy as np

        self._runs += 1
        if FAULT == "dies-in-service" and self._runs > int(os.environ.get("FAKE_RUNS", "0")):
            os.kill(os.getpid(), signal.SIGSEGV)
        if FAULT == "run-failed":
            return False
        session, given = self._engine._session, {}
        for is_input, one in self._engine._values:
            if is_input:
                array = np.empty(one.shape, np.float32)
                ctypes.memmove(array.ctypes.data, self._addresses[one.name], array.nbytes)
                given[one.name] = array
        for one, output in zip(session.get_outputs(), session.run(None, given), strict=True):
            computed = output.astype(np.float16).astype(np.float32) if self._engine._facts["half"] else output
            if FAULT == "drift" or (FAULT == "bad-refit" and self._engine._facts.get("refitted")):
                computed = computed + np.float32(3.0)
            computed = np.ascontiguousarray(computed)
            ctypes.memmove(self._addresses[one.name], computed.ctypes.data, computed.nbytes)
        return True


class EngineInspector(_Strict):
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine

    def get_engine_information(self, how: Any) -> str:
        assert how == LayerInformationFormat.JSON
        return json.dumps({"Layers": [], "Bindings": [one[1].name for one in self._engine._values]})


class Refitter(_Strict):
    def __init__(self, engine: ICudaEngine, logger: ILogger) -> None:
        import onnx

        if not engine._facts["refit"]:
            logger.log(ILogger.ERROR, "The engine was not built to be refitted")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._engine = engine
        self._graph = onnx.load_model_from_string(engine._model)
        self._given: dict[str, Any] = {}

    def get_all_weights(self) -> list[str]:
        own = ["(Unnamed Layer* 3) [Constant]"] if FAULT == "strange-weight" else []
        return [one.name for one in self._graph.graph.initializer] + own

    def get_missing_weights(self) -> list[str]:
        return [name for name in self.get_all_weights() if name not in self._given]

    def set_named_weights(self, name: str, weights: Weights) -> bool:
        self._given[name] = weights.numpy()
        return name in self.get_all_weights()

    def refit_cuda_engine(self) -> bool:
        from onnx import numpy_helper

        for one in self._graph.graph.initializer:
            one.CopyFrom(numpy_helper.from_array(self._given[one.name], one.name))
        self._engine._facts = {**self._engine._facts, "refitted": True}
        self._engine._model = self._graph.SerializeToString()
        return True


def _plan(facts: dict[str, Any], model: bytes) -> bytes:
    return _MAGIC + json.dumps({**facts, "version": VERSION}).encode() + b"\n" + model


def _facts(content: bytes) -> dict[str, Any] | None:
    if not content.startswith(_MAGIC):
        return None
    return json.loads(content[len(_MAGIC) : content.index(b"\n", len(_MAGIC))])


def _go_wrong(logger: ILogger) -> None:
    if FAULT == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if FAULT == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if FAULT == "exit-137":
        os._exit(137)
    if FAULT == "silent":
        time.sleep(3600)
    if FAULT == "talks-for-ever":
        while True:
            logger.log(ILogger.INFO, "still trying tactics")
            time.sleep(0.1)
    if FAULT == "computes-for-ever":
        while True:
            sum(range(10_000))
    if FAULT == "takes-memory":
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1 << 20) * 16))
            time.sleep(0.01)
    if FAULT == "prints":
        os.write(1, b"a library writes to standard output\n" * 1000)


def surface(namespace: dict[str, Any]) -> None:
    """Fill ``namespace`` with the names of one version, and with those only."""
    lists = [json.loads(Path(one).read_text()) for one in _SETUP.get("names") or ()]
    lacks = LACKS[".".join(VERSION.split(".")[:2])]
    for name, made in list(globals().items()):
        if name.startswith("_") or not isinstance(made, type) or made.__module__ not in (__name__, "fake_tensorrt"):
            continue
        if name in lacks.get("", ()) or any(name not in one["names"] for one in lists):
            continue
        known = [set(one["cls"][name]) for one in lists]
        for member in [member for member in vars(made) if not member.startswith("_")]:
            if member in lacks.get(name, ()) or any(member not in one for one in known):
                delattr(made, member)
        namespace[name] = made
    namespace["__version__"] = VERSION
