"""From the bytes of a file to RGB pixels, or to one stable reason why not.

Policy, trap by trap. *Converted* where the picture keeps its meaning, *refused* where it would not:

========================  ==================================================================================
missing, directory        refused: ``missing_file``, ``not_a_file``
empty, text, other data   refused: ``empty_file``, ``not_an_image``
cut short                 refused: ``truncated`` (the lower half would be grey: a lesion could be there)
broken inside             refused: ``unreadable``
PDF, vendor raw, GIF …    refused by name: ``pdf``, ``vendor_format``, ``unsupported_format``
animated, many pages      refused: ``animated``, ``multi_page`` (which frame is the eye is not ours to guess)
absurd size               refused: ``too_large``, from the header, before a pixel is decoded
too small                 refused: ``too_small`` (nothing in 32 pixels can be graded)
CMYK, Lab, float          refused: ``cmyk``, ``unsupported_colour``, ``unsupported_depth`` (colour would be invented)
16 bit                    converted: full range of the container to 0–255
grey, palette, 1 bit      converted to RGB
alpha                     converted: composed over black, which is what surrounds a retina
EXIF orientation          applied
MPO (JPEG with extras)    converted: its primary picture
========================  ==================================================================================

Colour profiles are ignored: cameras in the field embed wrong ones. A JPEG damaged in the middle may still decode; the
quality gate sees what it looks like.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eyebright_common.errors import ImageError
from eyebright_common.imaging.dicom import count_frames, decode_dicom
from eyebright_common.imaging.raster import decode_raster
from eyebright_common.imaging.refusals import MAX_FILE_BYTES, MIN_SIDE, VENDOR_SUFFIXES, Pixels, refusal

# Fields are found on 256 px and quality is judged on fewer: at twice that a reduced decoding does not show.
_READ_SIDE = 512

# `warnings.catch_warnings` changes process-wide state, so two decoding threads must not interleave inside it.
_quiet = threading.Lock()


def decode_image(source: Path | bytes, *, name: str = "", min_side: int | None = None, frame: int = 1) -> Pixels:
    """Return the picture as RGB, uint8 ``[H, W, 3]``, upright.

    Args:
        source: A file, or the bytes of one.
        name: What to call it in messages; default the path.
        min_side: Allows a JPEG to be decoded at a reduced scale whose shorter side is still at least this, in pixels.
        frame: Which frame of a multi-frame DICOM object, counted from 1.

    Raises:
        ImageError: the picture cannot be used; ``reason`` is one of the keys of ``FIXES``.
    """
    shown = name or (str(source) if isinstance(source, Path) else "")
    data = _read(source, shown) if isinstance(source, Path) else source
    if not data:
        raise refusal("empty_file", shown)
    suffix = Path(shown).suffix.lower()
    with _quietly():
        pixels = _decode(data, shown, suffix, min_side, frame)
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise refusal("too_small", shown)
    return np.ascontiguousarray(pixels)


def read_picture(source: Path | bytes, *, name: str = "", image_size: int = 0, frame: int = 1) -> Pixels:
    """Return the picture as it is judged and prepared everywhere, RGB uint8 ``[H, W, 3]``.

    A large JPEG is decoded at a reduced scale, the same one in a hospital and on a unit: the network must see in use
    the pixels it was trained on.

    Args:
        source: As for ``decode_image``.
        name: As for ``decode_image``.
        image_size: Side of the square it will be prepared to, in pixels.
        frame: As for ``decode_image``.

    Raises:
        ImageError: as ``decode_image``.
    """
    return decode_image(source, name=name, min_side=max(_READ_SIDE, image_size), frame=frame)


def read_frames(source: Path | bytes, *, name: str = "", image_size: int = 0) -> Iterator[Pixels]:
    """Yield every frame of a picture as ``read_picture`` returns it: one, but for a multi-frame DICOM object.

    Raises:
        ImageError: as ``decode_image``, as soon as a frame cannot be used: half a volume is not a volume.
    """
    shown = name or (str(source) if isinstance(source, Path) else "")
    data = _read(source, shown) if isinstance(source, Path) else source
    with _quietly():
        frames = count_frames(data, name=shown) if _is_dicom(data) else 1
    for frame in range(1, frames + 1):
        yield read_picture(data, name=shown, image_size=image_size, frame=frame)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(path: Path, shown: str) -> bytes:
    try:
        if path.is_dir():
            raise refusal("not_a_file", shown)
        if path.stat().st_size > MAX_FILE_BYTES:
            raise refusal("too_large", shown)
        # Bounded all the same: a device or a file that still grows has another size than it says.
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise refusal("missing_file", shown) from None
    except (OSError, ValueError):
        raise refusal("unreadable", shown) from None
    if len(data) > MAX_FILE_BYTES:
        raise refusal("too_large", shown)
    return data


def _is_dicom(data: bytes) -> bool:
    return data[128:132] == b"DICM"


def _decode(data: bytes, shown: str, suffix: str, min_side: int | None, frame: int) -> Pixels:
    if _is_dicom(data):
        return decode_dicom(data, name=shown, frame=frame)
    if data[:1024].lstrip().startswith(b"%PDF"):
        raise refusal("pdf", shown)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise refusal("truncated", shown)
    try:
        return decode_raster(data, name=shown, min_side=min_side)
    except ImageError as error:
        if error.reason == "not_an_image" and suffix in VENDOR_SUFFIXES:
            raise refusal("vendor_format", shown) from None
        raise
