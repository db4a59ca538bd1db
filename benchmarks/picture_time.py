"""What screening costs over its floor, for the pictures that cameras write: JPEGs of 2 and of 10 megapixels.

The floor is the same file decoded at reduced scale, shrunk to the network's square, and one run of MobileNetV2 at 224
pixels in ONNX Runtime. Screening adds field of view, quality verdict, crop, scores and attention map. The two are
measured in turn in one process, so that a busy machine slows both, and medians are compared. The processor's own time
is compared too (``… cpu``): it does not see what else the machine is doing, nor that work is shared between cores.

Run: ``python benchmarks/picture_time.py [--json]``
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from claim import Claim, asks_for_json, show
from unit_release import IMAGE_SIZE, SUPPORT, make_unit_release

from eyebright_common.imaging import model_input, read_picture
from eyebright_edge.screening import ServingRelease, open_release, screen_picture

SIZES = {"2 megapixels": (1632, 1224), "10 megapixels": (3648, 2736)}
RUNS = 40
WARM_UP = 5
LIMIT_RATIO = 1.5


def main() -> None:
    """Measure and print."""
    as_json = asks_for_json(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        release_folder, _ = make_unit_release(Path(folder))
        opened = open_release(release_folder)
        claims = [claim for words, size in SIZES.items() for claim in _measured(opened, Path(folder), words, size)]
    show(claims, as_json=as_json)


def _measured(opened: ServingRelease, folder: Path, words: str, size: tuple[int, int]) -> list[Claim]:
    picture = _photograph(folder / f"{size[0]}.jpg", *size)

    def floor() -> None:
        image = read_picture(picture, image_size=IMAGE_SIZE)
        small = np.asarray(cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA), np.uint8)
        opened.runtime.run(model_input(small))

    def screening() -> None:
        screen_picture(opened.runtime, opened.release, picture)

    claims = []
    for clock_name, clock in (("time", time.perf_counter), ("cpu", time.process_time)):
        pairs = [(_milliseconds(screening, clock), _milliseconds(floor, clock)) for _ in range(WARM_UP + RUNS)]
        value, baseline = (statistics.median(column) for column in zip(*pairs[WARM_UP:], strict=True))
        claims.append(
            Claim(
                name="picture_time",
                what=f"one JPEG of {words}, quality and attention map included, {clock_name}",
                value=value,
                unit="ms",
                baseline_name="reduced decode plus one ONNX Runtime inference",
                baseline_value=baseline,
                target=LIMIT_RATIO,
                target_on="ratio",
                runs=RUNS,
            )
        )
    return claims


def _milliseconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return 1000 * (clock() - start)


def _photograph(path: Path, width: int, height: int) -> Path:
    """Write a retina in the middle of a black frame of a camera's proportions."""
    sys.path.insert(0, str(SUPPORT))
    from retina_pictures import retina, save_picture

    frame = np.zeros((height, width, 3), np.uint8)
    left = (width - height) // 2
    frame[:, left : left + height] = retina(height)
    return save_picture(path, frame)


if __name__ == "__main__":
    main()
