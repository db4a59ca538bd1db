"""CUDA through the driver's own library, without any third-party binding.

* Asked before TensorRT is touched: without a driver TensorRT 8 returns objects whose first use ends the process.
* One library, ``libcuda.so.1``: it comes with every driver and keeps its name over all versions, where the runtime
  library has another one per version. TensorRT works in the device's primary context, which is the one retained here.
* Everything is synchronous; one picture at a time needs no more.
"""

import ctypes
from typing import Any, Dict, List

from .failure import Failure

LIBRARY = "libcuda.so.1"
_CAPABILITIES = (75, 76)  # attributes: major and minor number of the compute capability
_NO_DEVICE, _OUT_OF_MEMORY = 100, 2


class Cuda:
    """The driver.

    Raises:
        Failure: ``no-cuda`` without a driver that answers, ``no-device`` without a GPU.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise Failure("no-cuda", "%s cannot be loaded (%s)" % (LIBRARY, error)) from error
        code = self._library.cuInit(0)
        if code == _NO_DEVICE:
            raise Failure("no-device", "the CUDA driver finds no GPU")
        if code:
            raise Failure("no-cuda", "the CUDA driver does not start (%s)" % self._error_name(code))
        if self._int("cuDeviceGetCount") < 1:
            raise Failure("no-device", "the CUDA driver finds no GPU")
        self._device = self._int("cuDeviceGet", 0)
        self._context: Any = None

    def facts(self) -> Dict[str, Any]:
        """Return what identifies the GPU and its driver."""
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, len(name), self._device)
        capability = [self._int("cuDeviceGetAttribute", key, self._device) for key in _CAPABILITIES]
        total = ctypes.c_size_t()
        self._call("cuDeviceTotalMem_v2", ctypes.byref(total), self._device)
        return {
            "gpu": name.value.decode("ascii", "replace"),
            "compute_capability": "%d.%d" % (capability[0], capability[1]),
            "cuda": self._int("cuDriverGetVersion"),
            "gpu_memory_bytes": total.value,
        }

    def attach(self) -> None:
        """Work in the device's primary context from now on; the first time costs memory and a second."""
        if self._context is None:
            context = ctypes.c_void_p()
            self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
            self._call("cuCtxSetCurrent", context)
            self._context = context

    def allocate(self, size: int) -> int:
        """Return the address of ``size`` bytes on the GPU.

        Raises:
            Failure: ``out-of-memory``.
        """
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return int(address.value)

    def free(self, addresses: List[int]) -> None:
        """Give memory back."""
        for address in addresses:
            self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def write(self, address: int, array: Any) -> None:
        """Copy a contiguous array to the GPU."""
        source = ctypes.c_void_p(array.ctypes.data)
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), source, ctypes.c_size_t(array.nbytes))

    def read(self, address: int, array: Any) -> None:
        """Fill a contiguous array from the GPU."""
        target = ctypes.c_void_p(array.ctypes.data)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), ctypes.c_size_t(array.nbytes))

    def new_stream(self) -> int:
        """Return a stream of our own: TensorRT works slower on the default one, and says so."""
        stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(stream), 1)
        return int(stream.value or 0)

    def wait(self, stream: int) -> None:
        """Wait until everything in a stream is done."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(stream))

    def _int(self, function: str, *arguments: int) -> int:
        value = ctypes.c_int()
        self._call(function, ctypes.byref(value), *arguments)
        return int(value.value)

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._library, function)(*arguments)
        if code:
            word = "out-of-memory" if code == _OUT_OF_MEMORY else "cuda-failed"
            raise Failure(word, "%s answers %s" % (function, self._error_name(code)))

    def _error_name(self, code: int) -> str:
        name = ctypes.c_char_p()
        if self._library.cuGetErrorName(code, ctypes.byref(name)) or not name.value:
            return "error %d" % code
        return name.value.decode("ascii", "replace")
