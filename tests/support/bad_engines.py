"""Runtimes that go wrong as real ones do; functions of a module, because a child process imports them."""

import ctypes
import os
import signal
import time
from pathlib import Path

import numpy as np

from eyebright_edge.runtime import FloatArray, OnnxRuntime


class _Disturbed:
    def __init__(self, inner: OnnxRuntime, *, pause_s: float = 0.0) -> None:
        self._inner = inner
        self._pause_s = pause_s
        self.name, self.classes, self.image_size = inner.name, inner.classes, inner.image_size
        self.notices: tuple[str, ...] = ()
        self.precision = inner.precision

    def run(self, image: FloatArray) -> tuple[FloatArray, FloatArray]:
        time.sleep(self._pause_s)
        return self._inner.run(image)


def slow(folder: Path) -> _Disturbed:
    return _Disturbed(OnnxRuntime(folder), pause_s=0.05)


def never_ready(folder: Path) -> _Disturbed:
    while True:
        time.sleep(1)


def crashing(folder: Path) -> _Disturbed:
    ctypes.string_at(0)
    raise AssertionError("a null pointer was read")


def talkative_crash(folder: Path) -> _Disturbed:
    os.write(2, b"[E] myelin: assertion failed\n")
    os.abort()


def hungry(folder: Path) -> _Disturbed:
    hoard = []
    while True:
        hoard.append(np.ones(8 << 20, np.uint8))
        time.sleep(0.005)


def killed(folder: Path) -> _Disturbed:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def sound(folder: Path) -> OnnxRuntime:
    return OnnxRuntime(folder)
