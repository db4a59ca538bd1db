"""Which camera took a picture, and whether this release was measured on it.

* A file says it itself (DICOM manufacturer and model, EXIF make and model); failing that, the unit's settings name the
  camera that is plugged in. It is never guessed from the pixels.
* A release was measured on a camera when it says so by name: an entry ``camera NAME`` among its further metrics.
  Anything else, an unknown camera above all, is "not validated". That is no reason to refuse, and always said.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection
from typing import Any

from eyebright_common.release import Release

_MAKE, _MODEL = 271, 272  # EXIF tags
_LONGEST = 80
_MEASURED = "camera "


def camera_in_file(data: bytes) -> str:
    """Return the camera that a picture file names; empty when it names none or cannot be read."""
    try:
        make, model = _of_dicom(data) if data[128:132] == b"DICM" else _of_exif(data)
    except Exception:  # Whatever a broken header does, it only costs the camera's name: the decoder judges the file.
        return ""
    words = model if model.lower().startswith(make.lower()) else f"{make} {model}"
    return "".join(letter for letter in words.strip() if letter.isprintable())[:_LONGEST]


def camera_validated(camera: str, measured: Collection[str]) -> bool:
    """Return whether a camera is one of those that the release was measured on, by name."""
    return bool(camera) and camera.lower() in {name.lower() for name in measured}


def measured_cameras(release: Release) -> tuple[str, ...]:
    """Return the cameras that a release was measured on, by name."""
    return tuple(name.removeprefix(_MEASURED) for name in release.metrics.others if name.startswith(_MEASURED))


def _of_exif(data: bytes) -> tuple[str, str]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as picture:
            exif = picture.getexif()
    return _text(exif.get(_MAKE)), _text(exif.get(_MODEL))


def _of_dicom(data: bytes) -> tuple[str, str]:
    import pydicom

    tags = ["Manufacturer", "ManufacturerModelName"]
    header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=tags)
    return _text(header.get("Manufacturer")), _text(header.get("ManufacturerModelName"))


def _text(value: Any) -> str:
    return str(value or "").strip("\x00 ")
