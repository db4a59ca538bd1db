"""Pictures that tests draw: an eye with vessels, and its ways of being unusable."""

import io

import cv2
import numpy as np
from PIL import Image


def eye(seed: int = 0, side: int = 256, *, fill: float = 0.94, centre: tuple[float, float] = (0.5, 0.5)) -> np.ndarray:
    """An eye that can be graded: lit field on black, disc, vessels that branch; uint8 [side, side, 3]."""
    rng = np.random.default_rng(seed)
    big = side * 2
    y, x = np.mgrid[0:big, 0:big] / big
    image = np.empty((big, big, 3), np.float32)
    light = 1.0 - 0.9 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    for channel, level in enumerate((190, 95, 45)):
        image[:, :, channel] = level * light
    disc = np.array([0.5 + rng.choice([-1, 1]) * 0.22, 0.5 + rng.uniform(-0.05, 0.05)])
    cv2.circle(image, tuple(int(v) for v in disc * big), int(0.055 * big), (235, 190, 120), -1, cv2.LINE_AA)
    for start in rng.uniform(0, 2 * np.pi, 16):
        _vessel(image, rng, disc.copy(), start, 0.009 * big)
    image = cv2.GaussianBlur(image, (0, 0), 1.2)
    field = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= (fill / 2) ** 2
    image[~field] = 4
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return np.clip(small + rng.normal(0, 1.5, small.shape), 0, 255).astype(np.uint8)


def _vessel(image: np.ndarray, rng: np.random.Generator, at: np.ndarray, angle: float, width: float) -> None:
    big = len(image)
    for _ in range(26):
        angle += rng.normal(0, 0.22)
        to = at + 0.028 * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(int(v) for v in point * big) for point in (at, to)]
        cv2.line(image, *ends, (118, 40, 25), max(1, round(width)), cv2.LINE_AA)
        at, width = to, width * 0.96


def b_scan(seed: int = 0, width: int = 320, height: int = 240) -> np.ndarray:
    """A B-scan that can be graded: bright layers on a dark, speckled background; uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    x, y = np.arange(width), np.arange(height)[:, None]
    bend = 0.09 * np.sin(x / width * np.pi * rng.uniform(0.8, 2.4) + rng.uniform(0, 6))
    top = height * (0.4 + bend + rng.uniform(-0.1, 0.1) * x / width)
    grey = np.full((height, width), 18.0)
    for depth, thickness, level in ((0.0, 0.06, 120), (0.06, 0.05, 80), (0.12, 0.03, 190), (0.16, 0.1, 70)):
        inside = (y >= top + depth * height) & (y < top + (depth + thickness) * height)
        grey = np.where(inside, level, grey)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0) * rng.gamma(12, 1 / 12, grey.shape)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
