"""JPEG, PNG, TIFF, BMP and WebP through Pillow: header first, pixels only when the header is acceptable.

One decoder everywhere, so that a hospital and a unit see the same pixels of the same file.
"""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from eyebright_common.imaging.refusals import MAX_PIXELS, Pixels, refusal, scaled_to_bytes

_FORMATS = frozenset({"JPEG", "MPO", "PNG", "TIFF", "BMP", "DIB", "WEBP"})
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError)
_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"II*\x00", b"MM\x00*", b"BM", b"RIFF")


def decode_raster(data: bytes, *, name: str, min_side: int | None) -> Pixels:
    """Return the picture in ``data`` as RGB, uint8 ``[H, W, 3]``, upright.

    Raises:
        ImageError: by the policy of ``imaging.decoding``.
    """
    image = _opened(data, name)
    _check_header(image, name)
    if min_side is not None and image.format in {"JPEG", "MPO"}:
        image.draft(None, (min_side, min_side))
    try:
        image.load()
    except MemoryError:
        raise refusal("too_large", name) from None
    except _BROKEN as error:
        raise refusal("truncated" if _is_truncated(error) else "unreadable", name) from None
    return _as_rgb(_upright(image), name)


def _opened(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except Image.DecompressionBombError:
        raise refusal("too_large", name) from None
    except UnidentifiedImageError:
        # A file that starts like a picture but cannot even be opened is a damaged picture, not another kind of file.
        known = data.startswith(_SIGNATURES)
        reason = "truncated" if known and len(data) < 64 else "unreadable" if known else "not_an_image"
        raise refusal(reason, name) from None
    except _BROKEN as error:
        raise refusal("truncated" if _is_truncated(error) else "unreadable", name) from None


def _check_header(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise refusal("too_large", name)
    if image.format not in _FORMATS:
        raise refusal("animated" if getattr(image, "is_animated", False) else "unsupported_format", name)
    try:
        frames = int(getattr(image, "n_frames", 1))
    except _BROKEN as error:
        raise refusal("truncated" if _is_truncated(error) else "unreadable", name) from None
    if frames > 1 and image.format != "MPO":
        raise refusal("multi_page" if image.format == "TIFF" else "animated", name)
    if image.mode == "CMYK":
        raise refusal("cmyk", name)
    if image.mode in {"LAB", "HSV"}:
        raise refusal("unsupported_colour", name)
    if image.mode in {"I", "F"}:
        raise refusal("unsupported_depth", name)


def _is_truncated(error: BaseException) -> bool:
    words = str(error).lower()
    return isinstance(error, EOFError) or "truncated" in words or "unexpected end" in words


def _upright(image: Image.Image) -> Image.Image:
    # A broken EXIF block says nothing about the pixels: without a readable orientation the picture is upright.
    with suppress(*_BROKEN):
        return ImageOps.exif_transpose(image)
    return image


def _as_rgb(image: Image.Image, name: str) -> Pixels:
    if image.mode.startswith("I;16"):
        grey = scaled_to_bytes(np.asarray(image), 65535)
        return np.repeat(grey[:, :, None], 3, axis=2)
    try:
        if image.mode in _ALPHA or "transparency" in image.info:
            return _over_black(np.asarray(image.convert("RGBA")))
        return np.asarray(image.convert("RGB"))
    except _BROKEN:
        raise refusal("unsupported_colour", name) from None


def _over_black(rgba: Pixels) -> Pixels:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    return ((rgba[:, :, :3] * alpha + 127) // 255).astype(np.uint8)
