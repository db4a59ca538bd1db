"""Pictures per second through the network, by precision and by cores: what a variant of a release gives a unit.

MobileNetV2 at 224 pixels in ONNX Runtime on the CPU, as a unit runs it, in FP32, FP16 and INT8 as the server makes them
for a release (INT8 calibrated on drawn pictures), with one thread and with two. Everything is compared with FP32 on one
thread. All are run in turn in one process and medians are taken. The limit of a variant is FP32 with the same threads:
one that is slower is of no use to a CPU unit, whatever else speaks for it. Two threads are allowed 0.7 of one.

Run: ``python benchmarks/precisions.py [--json]``
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from claim import Claim, asks_for_json, show
from unit_release import IMAGE_SIZE, SUPPORT, make_unit_release

from eyebright_common.imaging import model_input
from eyebright_common.release import MODEL_FILE
from eyebright_edge.runtime.onnx_runtime import OnnxRuntime
from eyebright_server.release.variants import Precision, convert

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
THREADS = (1, 2)
RUNS = 60
WARM_UP = 5
LIMIT_RATIO = {1: 1.0, 2: 0.7}
CALIBRATION = 16


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        release, _ = make_unit_release(Path(folder))
        pixels = _retinas()
        runtimes = _runtimes((release / MODEL_FILE).read_bytes(), Path(folder), pixels)
        show(_measured(runtimes, pixels), as_json=as_json)


def _runtimes(model: bytes, folder: Path, pixels: npt.NDArray[np.uint8]) -> dict[tuple[Precision, int], OnnxRuntime]:
    runtimes = {}
    for precision in PRECISIONS:
        file = folder / f"{precision}.onnx"
        file.write_bytes(convert(model, precision, pixels))
        for threads in THREADS:
            runtimes[precision, threads] = OnnxRuntime(file, threads=threads)
    return runtimes


def _measured(runtimes: dict[tuple[Precision, int], OnnxRuntime], pixels: npt.NDArray[np.uint8]) -> list[Claim]:
    pictures = [model_input(np.ascontiguousarray(picture.transpose(1, 2, 0))) for picture in pixels]
    seconds: dict[tuple[Precision, int], list[float]] = {key: [] for key in runtimes}
    for turn in range(WARM_UP + RUNS):
        for key, runtime in runtimes.items():
            begin = time.perf_counter()
            runtime.run(pictures[turn % len(pictures)])
            seconds[key].append(time.perf_counter() - begin)
    medians = {key: 1000 * statistics.median(found[WARM_UP:]) for key, found in seconds.items()}
    return [
        Claim(
            name="precisions",
            what=f"{precision}, {threads} thread{'s' if threads > 1 else ''}: {1000 / value:.0f} pictures a second",
            value=value,
            unit="ms",
            baseline_name="fp32, 1 thread",
            baseline_value=medians["fp32", 1],
            target=LIMIT_RATIO[threads],
            target_on="ratio",
            runs=RUNS,
        )
        for (precision, threads), value in medians.items()
    ]


def _retinas() -> npt.NDArray[np.uint8]:
    sys.path.insert(0, str(SUPPORT))
    from retina_pictures import retina

    # The same retina turned: enough for ranges of activations, and the weights are random anyway.
    upright = retina(IMAGE_SIZE)
    turned = [np.rot90(upright, turns) for turns in range(4)]
    shaded = [np.clip(picture * share, 0, 255).astype(np.uint8) for picture in turned for share in (0.7, 0.85, 1, 1.15)]
    return np.stack(shaded[:CALIBRATION]).transpose(0, 3, 1, 2).copy()


if __name__ == "__main__":
    main()
