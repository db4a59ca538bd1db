"""A loaded engine: its tensors, their memory on the GPU, one run after the other.

* Shapes are static and memory is taken once, when the engine is loaded.
* What comes in and goes out is float32; an engine whose tensors are half precision gets them converted here.
"""

from typing import Any, Dict, List, NamedTuple

import numpy as np

from .adapter import TENSORS, Adapter
from .building import read_bytes
from .cuda import Cuda
from .failure import Failure


class Tensor(NamedTuple):
    """One input or output of an engine."""

    name: str
    is_input: bool
    dtype: Any
    shape: List[int]


class Engine:
    """An engine ready to run.

    Args:
        adapter: The TensorRT it is of.
        cuda: The driver, attached.
        path: The engine's file.

    Raises:
        Failure: ``null-runtime``, ``null-engine``, ``null-context``, ``out-of-memory``, ``unreadable``.
    """

    def __init__(self, adapter: Adapter, cuda: Cuda, path: str) -> None:
        self._adapter, self._cuda = adapter, cuda
        self._runtime = adapter.make("null-runtime", adapter.trt.Runtime, adapter.logger)
        content = read_bytes(path)
        self._engine = adapter.make("null-engine", self._runtime.deserialize_cuda_engine, content)
        self._context = adapter.make("null-context", self._engine.create_execution_context)
        self.tensors = self._tensors()
        self._host = {one.name: np.zeros(one.shape, one.dtype) for one in self.tensors}
        self._addresses = {one.name: cuda.allocate(max(1, self._host[one.name].nbytes)) for one in self.tensors}
        self._stream = 0
        if adapter.io == TENSORS:
            self._stream = cuda.new_stream()
            for name, address in self._addresses.items():
                if not self._context.set_tensor_address(name, address):
                    raise adapter.failure("null-context", "the context does not take tensor %r" % name)

    def facts(self) -> Dict[str, Any]:
        """Return the tensors and what the engine takes of the GPU's memory."""
        described = [{"name": one.name, "input": one.is_input, "shape": one.shape} for one in self.tensors]
        return {"tensors": described, "device_memory_bytes": self._adapter.device_memory(self._engine)}

    def run(self, inputs: Dict[str, Any]) -> Dict[str, Any]:
        """Return the outputs by name for inputs by name, all float32.

        Raises:
            Failure: ``wrong-input``, ``run-failed``, ``cuda-failed``.
        """
        expected = {one.name for one in self.tensors if one.is_input}
        if set(inputs) != expected:
            raise Failure("wrong-input", "given %s, the engine takes %s" % (sorted(inputs), sorted(expected)))
        for name, array in inputs.items():
            host = self._host[name]
            if array.shape != host.shape:
                raise Failure("wrong-input", "%r is %s, given %s" % (name, list(host.shape), list(array.shape)))
            host[...] = array
            self._cuda.write(self._addresses[name], host)
        del self._adapter.errors[:]
        self._execute()
        outputs = {}
        for one in self.tensors:
            if not one.is_input:
                self._cuda.read(self._addresses[one.name], self._host[one.name])
                outputs[one.name] = self._host[one.name].astype(np.float32)
        return outputs

    def inspect(self) -> str:
        """Return what TensorRT tells of its layers, JSON."""
        inspector = self._adapter.make("inspect-failed", self._engine.create_engine_inspector)
        return str(inspector.get_engine_information(self._adapter.trt.LayerInformationFormat.JSON))

    def close(self) -> None:
        """Give the GPU's memory back."""
        self._cuda.free(list(self._addresses.values()))
        self._addresses = {}
        self._context = self._engine = self._runtime = None

    def _execute(self) -> None:
        if self._adapter.io == TENSORS:
            done = self._context.execute_async_v3(self._stream)
            self._cuda.wait(self._stream)
        else:
            done = self._context.execute_v2([self._addresses[one.name] for one in self.tensors])
        # What the logger calls an error is one, whatever the call returned.
        if not done or self._adapter.errors:
            raise self._adapter.failure("run-failed", "the engine did not run")

    def _tensors(self) -> List[Tensor]:
        engine, trt = self._engine, self._adapter.trt
        found = []
        if self._adapter.io == TENSORS:
            for number in range(engine.num_io_tensors):
                name = engine.get_tensor_name(number)
                is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
                found.append(self._tensor(name, is_input, engine.get_tensor_dtype(name), engine.get_tensor_shape(name)))
            return found
        for number in range(engine.num_bindings):
            name, is_input = engine.get_binding_name(number), engine.binding_is_input(number)
            dtype, shape = engine.get_binding_dtype(number), engine.get_binding_shape(number)
            found.append(self._tensor(name, is_input, dtype, shape))
        return found

    def _tensor(self, name: str, is_input: bool, dtype: Any, shape: Any) -> Tensor:
        kinds = self._adapter.trt.DataType
        sides = [int(side) for side in shape]
        if dtype not in (kinds.FLOAT, kinds.HALF) or min(sides, default=1) < 0:
            raise Failure("wrong-engine", "tensor %r is %s %s" % (name, dtype, sides))
        return Tensor(str(name), bool(is_input), np.float32 if dtype == kinds.FLOAT else np.float16, sides)
