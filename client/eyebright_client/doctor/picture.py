"""What the doctor learns from one picture: decoded once, measured, forgotten.

* Bytes are read once; header, metadata and pixels are judged from the same bytes.
* A picture whose gate says "no retina" is asked again as the other modality: a B-scan among photographs is not a bad
  photograph, and the fix is another one.
* What is kept (facts, a descriptor for copies, a digest of the pixels) is the hospital's own and never shared.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyebright_common.errors import ImageError
from eyebright_common.imaging import assess_quality, field_of_view, prepare, read_picture
from eyebright_common.imaging.burned_in import burned_in_text
from eyebright_common.imaging.identifiers import embedded_identifiers
from eyebright_common.imaging.refusals import Pixels
from eyebright_common.manifest import Row, duplicate_descriptor

_PREPARED_SIDE = 256
_SUFFIXES = {"jpg": "jpeg", "tif": "tiff", "dcm": "dicom", "mpo": "jpeg", "dib": "bmp"}
_OTHER = {"CFP": ("OCT", "not_a_retina"), "OCT": ("CFP", "not_an_oct")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFacts:
    """What was found out about one picture.

    Attributes:
        reason: Why it cannot be read, empty where it can.
        format: By content, e.g. ``jpeg``.
        mode: Colour and depth: ``rgb``, ``grey``, ``16 bit``, ``alpha``, ``palette``, ``dicom`` or ``other``.
        misnamed: Whether the ending says another format.
        identifiers: Kinds of identifying fields in the file.
        size_bytes: Of the file.
        width: As stored, in pixels.
        height: As stored, in pixels.
        text: Whether letters are burned in.
        pixel_digest: SHA-256 of the decoded pixels.
        verdict: Of the quality gate.
        reasons: Of the quality gate, worst first.
        wrong_modality: What it is instead, empty where it is what the manifest says.
        bounded: Whether the field of view was found (CFP).
        coverage: Share of the field that is inside the picture and lit (CFP).
        means: Of the channels.
        variances: Of the channels.
        descriptor: For copies, float16 as base64.
    """

    reason: str = ""
    format: str = ""
    mode: str = ""
    misnamed: bool = False
    identifiers: tuple[str, ...] = ()
    size_bytes: int = 0
    width: int = 0
    height: int = 0
    text: bool = False
    pixel_digest: str = ""
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    wrong_modality: str = ""
    bounded: bool = False
    coverage: float = 0.0
    means: tuple[float, ...] = ()
    variances: tuple[float, ...] = ()
    descriptor: str = ""

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> PictureFacts:
        """Return what ``to_json`` wrote."""
        values: dict[str, Any] = json.loads(text)
        values.update({name: tuple(value) for name, value in values.items() if isinstance(value, list)})
        return cls(**values)

    def descriptor_values(self) -> NDArray[np.float32]:
        """Return the descriptor, float32 ``[D]``."""
        return np.frombuffer(base64.b64decode(self.descriptor), dtype=np.float16).astype(np.float32)


def examine_batch(rows: list[Row]) -> list[PictureFacts]:
    """Return the facts of several pictures; what a worker process does."""
    return [examine_picture(row) for row in rows]


def examine_picture(row: Row) -> PictureFacts:
    """Return the facts of one picture; a file that cannot be used is a fact too."""
    try:
        data = row.image_path.read_bytes()
    except FileNotFoundError:
        return PictureFacts(reason="missing_file")
    except OSError:
        return PictureFacts(reason="unreadable")
    header = _header(data, row.image_path)
    try:
        image = read_picture(data, name=row.image_path.name, frame=row.frame)
    except ImageError as error:
        return PictureFacts(reason=error.reason, size_bytes=len(data), **header)
    return PictureFacts(
        size_bytes=len(data), **{**_pixel_facts(image, row.modality), **header, **_shape(header, image)}
    )


def _shape(header: dict[str, Any], image: Pixels) -> dict[str, int]:
    H, W = image.shape[:2]
    return {"width": header.get("width") or W, "height": header.get("height") or H}


def _header(data: bytes, path: Path) -> dict[str, Any]:
    """Return what the file's header says, as far as it can be read."""
    suffix = path.suffix.lower().lstrip(".")
    identifiers = embedded_identifiers(data)
    if data[128:132] == b"DICM":
        return {"format": "dicom", "mode": "dicom", "identifiers": identifiers}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                found = (image.format or "").lower()
                width, height = image.size
                mode = _mode(image.mode)
        except Exception:
            # Pillow's readers raise whatever a broken file leads them to; decoding will say what is wrong with it.
            return {"identifiers": identifiers}
    word = _SUFFIXES.get(found, found)
    misnamed = bool(suffix) and _SUFFIXES.get(suffix, suffix) != word
    return {
        "format": word,
        "mode": mode,
        "misnamed": misnamed,
        "identifiers": identifiers,
        "width": width,
        "height": height,
    }


def _mode(mode: str) -> str:
    if mode.startswith("I;16"):
        return "16 bit"
    words = {"RGB": "rgb", "L": "grey", "1": "grey", "P": "palette", "YCbCr": "rgb"}
    return words.get(mode, "alpha" if "A" in mode else "other")


def _pixel_facts(image: Pixels, modality: str) -> dict[str, Any]:
    field = field_of_view(image) if modality == "CFP" else None
    quality = assess_quality(image, modality=modality, field=field)
    means, deviations = (values.ravel() for values in cv2.meanStdDev(image))
    prepared = prepare(image, modality=modality, size=_PREPARED_SIDE, field=field)
    descriptor = duplicate_descriptor(prepared).astype(np.float16)
    return {
        "text": burned_in_text(image, field=field if field is not None and field.bounded else None)
        if field is None or field.bounded
        else False,
        "pixel_digest": hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest(),
        "verdict": quality.verdict,
        "reasons": quality.reasons,
        "wrong_modality": _wrong_modality(image, modality, quality.reasons),
        "bounded": field.bounded if field else False,
        "coverage": round(field.coverage, 3) if field else 0.0,
        "means": tuple(round(float(value), 3) for value in means),
        "variances": tuple(round(float(value) ** 2, 3) for value in deviations),
        "descriptor": base64.b64encode(descriptor.tobytes()).decode(),
    }


def _wrong_modality(image: Pixels, modality: str, reasons: tuple[str, ...]) -> str:
    other, none_of_it = _OTHER[modality]
    if none_of_it not in reasons:
        return ""
    again = assess_quality(image, modality=other)
    return other if _OTHER[other][1] not in again.reasons and again.verdict != "reject" else ""
