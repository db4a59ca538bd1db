"""How a unit computes: which runtime, and what an engine may cost.

Read from the environment, so that a service file is the one place where a board's owner writes it down:

=============================  =========================================================================
``EYEBRIGHT_RUNTIME``          ``auto`` (default), or one of ``CHOICES``, which is then tried first
``EYEBRIGHT_PRECISION``        ``auto`` (default): what fits this machine; ``fp16`` for engines alone; or ``fp32``
``EYEBRIGHT_BOARD_PYTHON``     the Python with the board's TensorRT; default ``/usr/bin/python3``
``EYEBRIGHT_ENGINES``          folder of built engines; default ``~/.cache/eyebright/engines``
``EYEBRIGHT_REFIT``            ``1`` refits engines with new weights in place of building; default ``0``
``EYEBRIGHT_WORKER_MEMORY_MB`` the worker's memory, above which it is ended; default 2048
=============================  =========================================================================
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, get_args

from eyebright_common.errors import InputError

Choice = Literal["auto", "onnxruntime-cpu", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt"]
EnginePrecision = Literal["fp32", "fp16"]
WantedPrecision = Literal["auto", "fp16", "fp32"]
T = TypeVar("T", bound=str)
CHOICES: tuple[Choice, ...] = get_args(Choice)

# What a board with an NVIDIA GPU has, asked before anything is started: Jetson first, then cards.
GPU_NODES = (Path("/dev/nvhost-gpu"), Path("/dev/nvgpu"), Path("/dev/nvidiactl"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the worker may take, seconds.

    Attributes:
        probe: To start and tell what there is.
        load: To load an engine.
        run: For one picture.
        build: For an engine; boards need tens of minutes.
        silence: Without a word and without computing, within any of these.
    """

    probe: float = 60.0
    load: float = 180.0
    run: float = 20.0
    build: float = 3600.0
    silence: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """How this unit computes.

    Attributes:
        choice: Which runtime to try first.
        precision: ``auto`` is FP16 for engines and INT8 for a machine that has only a CPU, where the release ships
            them; ``fp16`` is for engines alone; ``fp32`` is full precision everywhere.
        board_python: The Python with the board's TensorRT.
        engines: Where built engines are kept.
        refit: Whether an engine may be made from an older one with new weights.
        workspaces: Bytes that the builder's tactics may take, tried in turn while memory runs out.
        memory_limit_bytes: Of the worker; above it, it is ended.
        patience: How long the worker may take.
        environment: Added to the worker's environment.
    """

    choice: Choice = "auto"
    precision: WantedPrecision = "auto"
    board_python: Path = Path("/usr/bin/python3")
    engines: Path = Path("~/.cache/eyebright/engines")
    refit: bool = False
    workspaces: tuple[int, ...] = (1 << 30, 256 << 20, 64 << 20)
    memory_limit_bytes: int = 2 << 30
    patience: Patience = Patience()
    environment: Mapping[str, str] = field(default_factory=dict)


def settings_from_environment(environment: Mapping[str, str] | None = None) -> RuntimeSettings:
    """Return the settings in the environment.

    Raises:
        InputError: one of them is no possible value.
    """
    given = os.environ if environment is None else environment
    default = RuntimeSettings()
    engines = Path(given.get("EYEBRIGHT_ENGINES") or default.engines)
    return RuntimeSettings(
        choice=_one_of(given, "EYEBRIGHT_RUNTIME", CHOICES, default.choice),
        precision=_one_of(given, "EYEBRIGHT_PRECISION", get_args(WantedPrecision), default.precision),
        board_python=Path(given.get("EYEBRIGHT_BOARD_PYTHON") or default.board_python),
        engines=engines.expanduser(),
        refit=_one_of(given, "EYEBRIGHT_REFIT", ("0", "1"), "0") == "1",
        memory_limit_bytes=_megabytes(given, "EYEBRIGHT_WORKER_MEMORY_MB", default.memory_limit_bytes),
    )


def _one_of(given: Mapping[str, str], name: str, words: tuple[T, ...], default: T) -> T:
    text = given.get(name) or default
    for word in words:
        if text == word:
            return word
    raise InputError(f"{name} has no such value", value=text, fix=f"Use one of: {', '.join(words)}.")


def _megabytes(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 64 <= int(text) <= 1 << 20:
        raise InputError(f"{name} has no such value", value=text, fix="Give megabytes, at least 64.")
    return int(text) << 20
