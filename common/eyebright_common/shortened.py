"""Shortened updates: half precision or eight bits, with error feedback.

* What is shortened is the difference to the student that was sent, array by array. Arrays with fewer than two
  dimensions (biases, batch normalisation: some hundredth of the bytes) travel whole, so that a variance stays one.
* ``fp16``: the difference in half precision. ``int8``: ``q = round(d / s)``, ``s = max|d| / 127``; ``s`` travels beside
  it under ``NAME#scale``.
* Error feedback (Seide et al. 2014; Karimireddy et al. 2019, arXiv 1901.09847): what rounding took away is added to the
  next difference, ``d_t = x_t - x + e_{t-1}``, ``e_t = d_t - decode(encode(d_t))``. Nothing is lost, only late.
* ``lengthened`` trusts nobody: an array of another name, shape or type is an error that names it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eyebright_common.errors import InputError
from eyebright_common.plan import Compression

SCALE = "#scale"
Arrays = dict[str, np.ndarray]
_LARGEST = 127
_HALF_MAX = 65504.0
_TINY = float(np.finfo(np.float32).tiny)


def shortened(
    trained: Arrays, sent: Mapping[str, np.ndarray], error: Arrays, how: Compression
) -> tuple[Arrays, Arrays]:
    """Return what travels, and the error to add next time.

    Args:
        trained: The student after training.
        sent: The student before.
        error: What the last call returned; empty at first.
        how: ``fp16`` or ``int8``; ``none`` returns ``trained`` as it is.
    """
    if how == "none":
        return dict(trained), {}
    travelling: Arrays = {}
    left: Arrays = {}
    for name in sorted(trained):
        if not _is_shortened(sent[name]):
            travelling[name] = trained[name]
            continue
        wanted = trained[name] - sent[name] + error.get(name, np.float32(0))
        travelling |= _encoded(name, wanted, how)
        left[name] = (wanted - _decoded(name, travelling, how)).astype(np.float32)
    return travelling, left


def lengthened(arrived: Arrays, sent: Mapping[str, np.ndarray], how: Compression) -> Arrays:
    """Return the trained student from what travelled.

    Raises:
        InputError: naming an array that is missing, too many, or of another shape or type.
    """
    if how == "none":
        return arrived
    whole: Arrays = {}
    for name, array in sent.items():
        if not _is_shortened(array):
            whole[name] = _found(arrived, name, array.shape, array.dtype)
            continue
        _found(arrived, name, array.shape, np.dtype(np.float16 if how == "fp16" else np.int8))
        if how == "int8":
            _found(arrived, name + SCALE, (1,), np.dtype(np.float32))
        with np.errstate(invalid="ignore", over="ignore"):  # infinite scales are the gate's to refuse
            whole[name] = (array + _decoded(name, arrived, how)).astype(array.dtype)
    scales = {name + SCALE for name, array in sent.items() if _is_shortened(array)} if how == "int8" else set()
    strangers = sorted(arrived.keys() - sent.keys() - scales)
    if strangers:
        raise InputError("wrong_keys", value=f"{len(strangers)} too many, first {strangers[0]}"[:200])
    return whole


def _is_shortened(array: np.ndarray) -> bool:
    return array.ndim >= 2 and array.dtype == np.float32


def _encoded(name: str, wanted: np.ndarray, how: Compression) -> Arrays:
    if how == "fp16":
        return {name: np.clip(wanted, -_HALF_MAX, _HALF_MAX).astype(np.float16)}
    scale = np.float32(max(float(np.abs(wanted).max(initial=0.0)) / _LARGEST, _TINY))
    levels = np.clip(np.rint(wanted / scale), -_LARGEST, _LARGEST).astype(np.int8)
    return {name: levels, name + SCALE: np.array([scale], dtype=np.float32)}


def _decoded(name: str, travelling: Arrays, how: Compression) -> np.ndarray:
    values = travelling[name].astype(np.float32)
    return values if how == "fp16" else values * travelling[name + SCALE][0]


def _found(arrived: Arrays, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if name not in arrived:
        raise InputError("wrong_keys", value=f"{name} is missing"[:200])
    array = arrived[name]
    if array.shape != shape:
        raise InputError("wrong_shape", value=f"{name}: {array.shape}, expected {shape}"[:200])
    if array.dtype != dtype:
        raise InputError("wrong_dtype", value=f"{name}: {array.dtype}, expected {dtype}"[:200])
    return array
