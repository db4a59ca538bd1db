"""Pictures as the browser gets them: small JPEGs of what waits, and what the network saw with where it looked."""

from __future__ import annotations

from contextlib import suppress

import cv2
import numpy as np
import numpy.typing as npt

from eyebright_common.errors import ImageError, InputError
from eyebright_common.imaging import prepare, read_picture
from eyebright_common.release import Eye
from eyebright_edge.runtime import FloatArray
from eyebright_edge.screening.desk import VisitDesk
from eyebright_edge.screening.visit_result import VisitResult

Pixels = npt.NDArray[np.uint8]
THUMBNAIL_SIDE = 520
PRINTED_SIDE = 640


def thumbnail(data: bytes, *, name: str) -> bytes:
    """Return a picture file as a small JPEG.

    Raises:
        ImageError: it cannot be read.
    """
    image = read_picture(data, name=name, image_size=THUMBNAIL_SIDE)
    scale = THUMBNAIL_SIDE / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    return _encoded(".jpg", small[:, :, ::-1])


def seen_eyes(desk: VisitDesk, result: VisitResult) -> dict[Eye, Pixels]:
    """Return the picture of each eye to print, cropped as the network sees it, RGB uint8 ``[S, S, 3]``.

    It is the picture that decided, or the last try of an eye that could not be judged; an eye whose picture is gone or
    cannot be read has none. The release is not asked: an old answer is printed like a new one.
    """
    found = {}
    for eye in result.eyes:
        if eye.sha256 is None or not eye.pictures:
            continue
        with suppress(InputError, ImageError):
            data = desk.picture(result.number, eye.sha256)
            image = read_picture(data, name=eye.sha256, image_size=PRINTED_SIDE, frame=eye.frame)
            found[eye.eye] = prepare(image, modality=result.modality, size=PRINTED_SIDE)
    return found


def seen_png(seen: Pixels) -> bytes:
    """Return what the network saw, RGB uint8 ``[S, S, 3]``, as a PNG of a size that can be looked at."""
    return _encoded(".png", _enlarged(seen, cv2.INTER_CUBIC)[:, :, ::-1])


def looked_png(seen: Pixels, attention: FloatArray) -> bytes:
    """Return where it looked as a PNG to lay over ``seen_png``: colour by strength, clear where it did not look.

    Args:
        seen: What the network saw, uint8 ``[S, S, 3]``.
        attention: Map ``[h, w]``, 0–1.
    """
    field = _enlarged(seen, cv2.INTER_CUBIC).max(axis=2) > 8
    H, W = field.shape
    smooth = np.clip(cv2.resize(attention, (W, H), interpolation=cv2.INTER_CUBIC), 0.0, 1.0) * field
    colours = cv2.applyColorMap((255 * smooth).astype(np.uint8), cv2.COLORMAP_TURBO)
    return _encoded(".png", np.dstack([colours, (255 * smooth).astype(np.uint8)]))


def _enlarged(image: Pixels, how: int) -> Pixels:
    side = max(THUMBNAIL_SIDE, *image.shape[:2])
    return np.asarray(cv2.resize(image, (side, side), interpolation=how), dtype=np.uint8)


def _encoded(kind: str, image: npt.NDArray[np.generic]) -> bytes:
    done, data = cv2.imencode(kind, np.ascontiguousarray(image))
    assert done, kind
    return bytes(data.tobytes())
