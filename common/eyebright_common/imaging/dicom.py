"""DICOM objects: ophthalmic photographs (OP), tomographs (OPT) and secondary captures, one frame at a time.

* The first frame unless another is named; a volume is one row per frame in the manifest, and a unit reads all of them.
* 16-bit samples use the object's own window where it has one, otherwise the full range of its stored bits.
* An object that encapsulates a PDF, or holds no pixels, is refused by name.
* Only header fields that the pixels need are read; nothing that names a person is.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright_common.errors import ImageError
from eyebright_common.imaging.refusals import MAX_FRAMES, MAX_PIXELS, Pixels, refusal, scaled_to_bytes

# The whole object packed by zlib: what it unpacks to is not known before it fills the memory, and no camera writes it.
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LONGEST_META_BYTES = 4096
_ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def decode_dicom(data: bytes, *, name: str, frame: int) -> Pixels:
    """Return one frame of a DICOM object as RGB, uint8 ``[H, W, 3]``.

    Raises:
        ImageError: by the policy of ``imaging.decoding``.
    """
    from pydicom import dcmread

    if _DEFLATED in data[:_LONGEST_META_BYTES]:
        raise refusal("unsupported_compression", name)
    try:
        dataset = dcmread(io.BytesIO(data))
        _check_header(dataset, name, frame)
        return _as_rgb(_frame_samples(dataset, name, frame), dataset)
    except ImageError:
        raise
    except MemoryError:
        raise refusal("too_large", name) from None
    except Exception:
        # An element is parsed when it is first looked at, and a damaged one may raise anything the library knows.
        raise refusal("unreadable", name) from None


def count_frames(data: bytes, *, name: str) -> int:
    """Return how many frames a DICOM object says it has, at least 1.

    Raises:
        ImageError: ``unreadable``, or ``too_many_frames`` for a number that no eye camera writes.
    """
    from pydicom import dcmread

    if _DEFLATED in data[:_LONGEST_META_BYTES]:
        raise refusal("unsupported_compression", name)
    try:
        said = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=["NumberOfFrames"])
        frames = int(said.get("NumberOfFrames") or 1)
    except Exception:
        # As in ``decode_dicom``: a damaged element may raise anything.
        raise refusal("unreadable", name) from None
    if frames > MAX_FRAMES:
        raise refusal("too_many_frames", name)
    return max(1, frames)


def _check_header(dataset: Any, name: str, frame: int) -> None:
    if str(dataset.get("SOPClassUID", "")) == _ENCAPSULATED_PDF:
        raise refusal("encapsulated_pdf", name)
    if "PixelData" not in dataset or not dataset.get("Rows") or not dataset.get("Columns"):
        raise refusal("no_pixels", name)
    if int(dataset.Rows) * int(dataset.Columns) > MAX_PIXELS:
        raise refusal("too_large", name)
    if not 1 <= frame <= int(dataset.get("NumberOfFrames") or 1):
        raise refusal("no_such_frame", name)


def _frame_samples(dataset: Any, name: str, frame: int) -> NDArray[Any]:
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    try:
        samples = pixel_array(dataset, index=frame - 1)
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            return np.asarray(apply_color_lut(samples, dataset))
        if samples.ndim == 2:
            return np.asarray(apply_voi_lut(apply_modality_lut(samples, dataset), dataset))
    except (RuntimeError, NotImplementedError):  # how pydicom says that it has no decoder for this
        raise refusal("unsupported_compression", name) from None
    except ValueError as error:
        short = "less than" in str(error) or "doesn't match" in str(error)
        raise refusal("truncated" if short else "unreadable", name) from None
    return np.asarray(samples)


def _as_rgb(samples: NDArray[Any], dataset: Any) -> Pixels:
    pixels = samples if samples.dtype == np.uint8 else scaled_to_bytes(*_zero_based(samples, dataset))
    if samples.ndim == 2 and dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        pixels = np.asarray(255 - pixels, dtype=np.uint8)
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels[:, :, :3]


def _zero_based(samples: NDArray[Any], dataset: Any) -> tuple[NDArray[Any], float]:
    bits = int(dataset.get("BitsStored") or 8 * samples.dtype.itemsize)
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        bits = 8 * samples.dtype.itemsize
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    shifted = samples.astype(np.float32) + (2.0 ** (bits - 1) if signed else 0.0)
    return shifted, float(2**bits - 1)
