"""A CUDA driver for tests: a small shared library whose GPU memory is the host's, compiled where there is a compiler.

``FAKE_CUDA`` chooses what is wrong with it: ``no-device``, ``broken``, ``out-of-memory``. ``FAKE_GPU`` names the GPU.
"""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

_SOURCE = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
static int attached = 0;
static int wrong(const char *how) { const char *set = getenv("FAKE_CUDA"); return set && !strcmp(set, how); }
int cuInit(unsigned flags) { return wrong("no-device") ? 100 : wrong("broken") ? 999 : flags ? 1 : 0; }
int cuDriverGetVersion(int *version) { *version = 10020; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
  const char *set = getenv("FAKE_GPU");
  strncpy(name, set ? set : "Fake Maxwell", (size_t)length - 1);
  return 0;
}
int cuDeviceGetAttribute(int *value, int key, int device) {
  if (key != 75 && key != 76) return 1;
  *value = key == 75 ? 5 : 3;
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)4 << 30; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &attached; return 0; }
int cuCtxSetCurrent(void *context) { attached = context == &attached; return 0; }
int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  if (!attached) return 201;
  if (wrong("out-of-memory")) return 2;
  *address = (uint64_t)(uintptr_t)malloc(bytes);
  return 0;
}
int cuMemFree_v2(uint64_t address) { free((void *)(uintptr_t)address); return 0; }
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  memcpy((void *)(uintptr_t)to, from, bytes);
  return 0;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  memcpy(to, (void *)(uintptr_t)from, bytes);
  return 0;
}
int cuStreamCreate(void **stream, unsigned flags) { *stream = malloc(8); return 0; }
int cuStreamSynchronize(void *stream) { return stream ? 0 : 400; }
int cuGetErrorName(int code, const char **name) {
  *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 999 ? "CUDA_ERROR_UNKNOWN" : "CUDA_ERROR_INVALID_VALUE";
  return 0;
}
"""


@cache
def cuda_folder() -> Path:
    """Return a folder with ``libcuda.so.1``, for ``LD_LIBRARY_PATH``; skips the test without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here, and the fake CUDA driver is a shared library")
    folder = Path(mkdtemp(prefix="fake-cuda-"))
    source = folder / "cuda.c"
    source.write_text(_SOURCE)
    library = str(folder / "libcuda.so.1")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, str(source)], check=True, capture_output=True)
    return folder


@cache
def no_cuda_folder() -> Path:
    """Return a folder whose ``libcuda.so.1`` is no library, so that a real one on this machine is not found either."""
    folder = Path(mkdtemp(prefix="no-cuda-"))
    (folder / "libcuda.so.1").write_bytes(b"")
    return folder
