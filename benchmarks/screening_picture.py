"""What screening a picture costs over its floor: decoding it at reduced scale and running the network once.

One process, MobileNetV2 at 224 pixels, a JPEG of 2048 × 2048. The two are measured in turn, so that a busy machine
slows both; medians are compared. Screening adds the quality verdict, the field-of-view crop, the scores and the map.

Run: ``python benchmarks/screening_picture.py [--json]``
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from claim import Claim, asks_for_json, show
from unit_release import IMAGE_SIZE, make_unit_release

from eyebright_common.imaging import model_input, read_picture
from eyebright_edge.screening import open_release, screen_picture

RUNS = 40
WARM_UP = 5
LIMIT_RATIO = 1.5


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        release_folder, picture = make_unit_release(Path(folder))
        opened = open_release(release_folder)

        def floor() -> None:
            image = read_picture(picture, image_size=IMAGE_SIZE)
            small = np.asarray(cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
            opened.runtime.run(model_input(small))

        def screening() -> None:
            screen_picture(opened.runtime, opened.release, picture)

        pairs = [(_milliseconds(screening), _milliseconds(floor)) for _ in range(WARM_UP + RUNS)][WARM_UP:]
    value, baseline = (statistics.median(column) for column in zip(*pairs, strict=True))
    claim = Claim(
        name="screening_picture",
        what="one picture, quality and attention map included",
        value=value,
        unit="ms",
        baseline_name="reduced-scale decode plus one ONNX Runtime inference",
        baseline_value=baseline,
        target=LIMIT_RATIO,
        target_on="ratio",
        runs=RUNS,
    )
    show([claim], as_json=as_json)


if __name__ == "__main__":
    main()
