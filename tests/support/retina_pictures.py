"""Pictures for tests that need a plausible retina, or something that is plainly none; drawn, not photographed."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def retina(side: int = 480, *, seed: int = 0) -> Pixels:
    """A sharp, evenly lit fundus with disc, macula and vessels, RGB uint8 ``[side, side, 3]``."""
    random = np.random.default_rng(seed)
    image = np.zeros((side, side, 3), np.float32)
    middle, radius = side / 2, 0.47 * side
    cv2.circle(image, (side // 2, side // 2), round(radius), (178, 92, 48), -1, cv2.LINE_AA)
    disc = (round(0.7 * side), side // 2)
    for branch in range(14):
        angle, points = random.uniform(0, 2 * np.pi), [np.array(disc, np.float32)]
        for _ in range(24):
            angle += random.normal(0, 0.18)
            points.append(points[-1] + 0.03 * side * np.array([np.cos(angle), np.sin(angle)], np.float32))
        thickness = max(1, round(side / (90 + 12 * branch)))
        cv2.polylines(
            image, [np.round(np.stack(points)).astype(np.int32)], False, (120, 40, 24), thickness, cv2.LINE_AA
        )
    cv2.circle(image, disc, round(0.075 * side), (236, 190, 130), -1, cv2.LINE_AA)
    macula = cv2.GaussianBlur(_spot(side, (0.42, 0.5), 0.09), (0, 0), side / 30)
    image *= 1 - 0.35 * macula[:, :, None]
    image += random.normal(0, 3, image.shape).astype(np.float32)
    y, x = np.ogrid[0:side, 0:side]
    image[(x - middle) ** 2 + (y - middle) ** 2 > radius**2] = 0
    return np.clip(image, 0, 255).astype(np.uint8)


def nothing_to_see(side: int = 480) -> Pixels:
    """A picture taken with the lens cap on."""
    return np.full((side, side, 3), 2, np.uint8)


def save_picture(path: Path, image: Pixels) -> Path:
    """Write RGB pixels to a picture file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1])
    return path


def _spot(side: int, centre: tuple[float, float], radius: float) -> npt.NDArray[np.float32]:
    spot = np.zeros((side, side), np.float32)
    cv2.circle(spot, (round(centre[0] * side), round(centre[1] * side)), round(radius * side), 1.0, -1)
    return spot
