"""A board for tests: this Python with a fake CUDA driver and a fake ``tensorrt``, both in the worker's process only."""

import json
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnxruntime.transformers.float16 import convert_float_to_float16

from eyebright_common.release import (
    MODEL_FILE,
    MODEL_FILES,
    RELEASE_FILE,
    Release,
    VariantFacts,
    describe_artefact,
    read_release,
)
from eyebright_common.release.engines import Fingerprint
from eyebright_edge.runtime.settings import Patience, RuntimeSettings
from fake_tensorrt import LISTS
from fake_tensorrt_cuda import cuda_folder, no_cuda_folder

# Lists of the real bindings' names, beside the checkout on some machines.
NAMES = Path(__file__).resolve().parents[3] / "shared" / "reference" / "tensorrt-api"
VERSIONS = {"8.2": "8.2.1.8", "8.6": "8.6.1", "10.0": "10.0.1", "10.3": "10.3.0", "10.16": "10.16.1", "11.4": "11.4.0"}

NANO = Fingerprint(
    machine="aarch64",
    board="NVIDIA Jetson Nano Developer Kit",
    system="# R32 (release), REVISION: 7.1",
    gpu="NVIDIA Tegra X1",
    compute_capability="5.3",
    cuda=10020,
    tensorrt="8.2.1.8",
)


def lists_of(version: str) -> list[str]:
    """Return the paths of the lists that say what a version has; skips the test where they are not."""
    files = [NAMES / f"api_{name}.json" for name in LISTS[version]]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        pytest.skip(f"the lists of TensorRT's names are not beside this checkout ({', '.join(missing)})")
    return [str(file) for file in files]


def board(
    folder: Path,
    version: str = "10.3",
    *,
    fault: str = "",
    cuda_fault: str = "",
    names: list[str] | None = None,
    tensorrt: bool = True,
    runs: int = 0,
    gpu: str = "Fake Maxwell",
    **changes: Any,
) -> RuntimeSettings:
    """Return the settings of a unit on such a board.

    Args:
        folder: Where engines, and the board's packages, lie.
        version: Of TensorRT, as in ``VERSIONS``.
        fault: What is wrong with TensorRT.
        cuda_fault: What is wrong with CUDA; ``no-driver`` for none at all.
        names: Lists of names that hold the fake to the real bindings.
        tensorrt: Whether the board has TensorRT.
        runs: After how many pictures ``dies-in-service`` dies.
        gpu: The GPU's name.
        changes: Of the settings.
    """
    packages = folder / "packages"
    if tensorrt:
        (packages / "tensorrt").mkdir(parents=True, exist_ok=True)
        code = "from fake_tensorrt import surface\nsurface(globals())\n"
        (packages / "tensorrt" / "__init__.py").write_text(code)
    environment = {
        "PYTHONPATH": f"{packages}:{Path(__file__).parent}",
        "FAKE_TENSORRT": json.dumps({"version": VERSIONS[version], "names": names, "fault": fault}),
        "FAKE_CUDA": cuda_fault,
        "FAKE_RUNS": str(runs),
        "FAKE_GPU": gpu,
        "OMP_NUM_THREADS": "1",
        "LD_LIBRARY_PATH": str(no_cuda_folder() if cuda_fault == "no-driver" else cuda_folder()),
    }
    settings: dict[str, Any] = {
        "choice": "tensorrt",
        "board_python": Path(sys.executable),
        "engines": folder / "engines",
        "patience": Patience(probe=120, load=120, run=60, build=120, silence=60),
        "environment": environment,
    }
    return RuntimeSettings(**{**settings, **changes})


def add_half(folder: Path, *, tolerance: float = 0.05) -> Release:
    """Give the tiny release in ``folder`` an FP16 variant, with the loss that it may show."""
    release = read_release(folder)
    half = convert_float_to_float16(onnx.load(folder / MODEL_FILE), keep_io_types=True)
    file = folder / MODEL_FILES["fp16"]
    file.write_bytes(half.SerializeToString())
    facts = VariantFacts(
        precision="fp16",
        file=file.name,
        size_bytes=file.stat().st_size,
        size_ratio=0.5,
        pictures=3,
        max_abs_logit_difference=tolerance / 3,
        max_abs_score_difference=0.001,
        mean_abs_score_difference=0.001,
        changed_decisions=0,
        changed_outside_band=0,
        golden_tolerance=tolerance,
        milliseconds_per_picture=1.0,
        speed_ratio=1.0,
    )
    artefacts = (*release.artefacts, describe_artefact(file))
    changed = release.model_copy(update={"variants": (facts,), "artefacts": artefacts})
    (folder / RELEASE_FILE).write_bytes(changed.to_json())
    return read_release(folder)
