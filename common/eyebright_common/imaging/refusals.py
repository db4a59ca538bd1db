"""Why a picture is refused: the limits, the stable reasons, and the fix that goes with each.

A reason is a bucket in a report and never changes its spelling; the fix is for the person who has the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright_common.errors import ImageError

Pixels = NDArray[np.uint8]

MAX_PIXELS = 64_000_000
# The largest volumes of B-scans have 512.
MAX_FRAMES = 1024
MAX_FILE_BYTES = 512 * 1024 * 1024
MIN_SIDE = 32

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom"})
VENDOR_SUFFIXES = frozenset({".e2e", ".fda", ".fds", ".img", ".vol", ".oct"})

FIXES = {
    "missing_file": "Correct the path in the manifest, or restore the file.",
    "not_a_file": "Name the picture itself, not its folder.",
    "unreadable": "Export the picture again from the camera software.",
    "empty_file": "Copy the file again: it has no bytes.",
    "too_large": f"Export it with at most {MAX_PIXELS // 1_000_000} million pixels.",
    "too_small": f"Export it at full resolution: both sides need at least {MIN_SIDE} pixels.",
    "not_an_image": "Check what the file is: its content is no picture, whatever its name says.",
    "unsupported_format": "Export it as JPEG, PNG, TIFF, BMP, WebP or DICOM.",
    "vendor_format": "Export it from the vendor's viewer as DICOM, PNG or JPEG.",
    "pdf": "Export the picture itself, not a report that contains it.",
    "truncated": "Copy the file again: its end is missing.",
    "animated": "Export the one frame to be graded as a still picture.",
    "multi_page": "Export the one page to be graded as a file of its own.",
    "cmyk": "Export it in RGB: print colours do not keep the colours of a retina.",
    "unsupported_colour": "Export it in RGB or grey.",
    "unsupported_depth": "Export it with 8 or 16 bits per channel.",
    "encapsulated_pdf": "This DICOM object holds a PDF report: send the photograph (OP) or the scan (OPT).",
    "no_pixels": "This DICOM object holds no picture: send the photograph (OP) or the scan (OPT).",
    "too_many_frames": f"Export at most {MAX_FRAMES} frames in one DICOM object.",
    "no_such_frame": "Name a frame that the file has.",
    "unsupported_compression": "Export the DICOM object uncompressed or as JPEG baseline.",
}


def refusal(reason: str, name: str = "") -> ImageError:
    """Return the error for one of the documented reasons, with its fix."""
    return ImageError(reason, name=name, fix=FIXES[reason])


def scaled_to_bytes(values: NDArray[Any], maximum: float) -> Pixels:
    """Return integer samples scaled from ``0 … maximum`` to 0–255, rounded, as uint8."""
    return np.asarray(np.clip(np.rint(values.astype(np.float32) * (255.0 / maximum)), 0, 255), dtype=np.uint8)
