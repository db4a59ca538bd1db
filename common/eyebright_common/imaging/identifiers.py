"""What a picture file says about a person besides the picture: kinds of fields, never their content.

=================  ===================================================================================================
``patient``        DICOM: name, id, birth date, address … of the patient; not where the object says they were removed
``person``         artist, owner, copyright; DICOM: physicians, operators, institution
``location``       GPS
``free_text``      description, comment, title, XMP, IPTC, PNG text
``serial_number``  of body, lens, device; unique id of the picture; host computer
``capture_time``   when it was taken
``maker_data``     a maker's private block, whose content nobody can check
=================  ===================================================================================================

File names have kinds of their own: ``date``, ``person_name``, ``long_number``. All of these are reasons to look before
a file is given away; training reads pixels only.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from pathlib import PurePosixPath
from typing import Any

from PIL import ExifTags, Image, UnidentifiedImageError

FILE_KINDS = ("patient", "person", "location", "free_text", "serial_number", "capture_time", "maker_data")
NAME_KINDS = ("date", "person_name", "long_number")

_EXIF = {
    "person": (0x013B, 0x8298, 0xA430, 0x9C9D),
    "free_text": (0x010E, 0x010D, 0x011D, 0x9286, 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F),
    "serial_number": (0xA431, 0xA435, 0xC62F, 0xA420, 0x013C),
    "capture_time": (0x0132, 0x9003, 0x9004),
    "maker_data": (0x927C,),
}
_DICOM = {
    "patient": (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "OtherPatientIDs",
        "OtherPatientNames",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "PatientMotherBirthName",
        "AccessionNumber",
    ),
    "person": (
        "ReferringPhysicianName",
        "PerformingPhysicianName",
        "OperatorsName",
        "PhysiciansOfRecord",
        "InstitutionName",
        "InstitutionAddress",
        "InstitutionalDepartmentName",
        "StationName",
    ),
    "free_text": ("StudyDescription", "SeriesDescription", "ImageComments", "PatientComments"),
    "serial_number": ("DeviceSerialNumber",),
    "capture_time": ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDateTime"),
}
# Technical words that PNG, JPEG and TIFF writers leave behind.
_HARMLESS = frozenset(
    {"dpi", "gamma", "jfif", "jfif_density", "jfif_unit", "jfif_version", "srgb", "aspect", "chromaticity"}
    | {"exif", "icc_profile", "compression", "software", "mp", "photoshop", "adobe", "background", "transparency"}
)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError, AttributeError)

_DATE = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[1-9]|[12]\d|3[01])[-_.](?:0[1-9]|1[0-2])[-_.](?:19|20)\d\d)(?!\d)"
)
_LONG_NUMBER = re.compile(r"(?<!\d)\d{8,}(?!\d)")
_NAME = re.compile(
    r"(?<![^\W\d_])([A-Z][a-z\u00df-\u00ff]{2,}|[A-Z]{3,})[ ,_^-]+([A-Z][a-z\u00df-\u00ff]{2,})(?![^\W\d_])"
)
_WORDS = frozenset(
    {"normal", "healthy", "cataract", "glaucoma", "retinopathy", "diabetic", "drusen", "cnv", "dme", "amd"}
    | {"left", "right", "eye", "image", "img", "picture", "photo", "fundus", "oct", "color", "colour", "retina"}
    | {"train", "test", "val", "validation", "scan", "slice", "frame", "series", "study", "sample", "patient"}
    | {"macula", "disc", "training", "regular", "images"}
)


def embedded_identifiers(data: bytes) -> tuple[str, ...]:
    """Return the kinds of identifying fields in a file's bytes, of ``FILE_KINDS``; none where it cannot be read."""
    with warnings.catch_warnings():
        # A reader's warning quotes the value it does not like, and that may be a name.
        warnings.simplefilter("ignore")
        found = _dicom_kinds(data) if data[128:132] == b"DICM" else _raster_kinds(data)
    return tuple(kind for kind in FILE_KINDS if kind in found)


def name_identifiers(name: str) -> tuple[str, ...]:
    """Return the kinds of identifying patterns in a path, of ``NAME_KINDS``."""
    path = PurePosixPath(name)
    parts = [*path.parent.parts, path.stem]
    dated = any(_DATE.search(part) for part in parts)
    person = any(_person(part) for part in parts)
    numbered = any(_LONG_NUMBER.search(_DATE.sub("-", part)) for part in parts)
    return tuple(kind for kind, there in zip(NAME_KINDS, (dated, person, numbered), strict=True) if there)


def _person(part: str) -> bool:
    return any(not {word.lower() for word in match.groups()} & _WORDS for match in _NAME.finditer(part))


def _raster_kinds(data: bytes) -> set[str]:
    try:
        return _header_kinds(Image.open(io.BytesIO(data)))
    except (UnidentifiedImageError, Image.DecompressionBombError, *_BROKEN):
        return set()


def _header_kinds(image: Image.Image) -> set[str]:
    exif = image.getexif()
    tags: dict[int, Any] = {**dict(exif), **exif.get_ifd(ExifTags.IFD.Exif)}
    found = {kind for kind, wanted in _EXIF.items() if any(_says(tags.get(tag)) for tag in wanted)}
    if exif.get_ifd(ExifTags.IFD.GPSInfo):
        found.add("location")
    words = {str(key).lower() for key, value in image.info.items() if isinstance(value, (str, bytes)) and _says(value)}
    if words - _HARMLESS:
        found.add("free_text")
    if isinstance(image.info.get("photoshop"), dict) and 0x0404 in image.info["photoshop"]:
        found.add("free_text")
    return found


def _says(value: object) -> bool:
    if value is None:
        return False
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return bool(text.strip("\x00 \t\r\n0:")) and text.strip("\x00 ") not in {"ASCII", "UNICODE"}


def _dicom_kinds(data: bytes) -> set[str]:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(io.BytesIO(data), stop_before_pixels=True)
        found = {kind for kind, names in _DICOM.items() if any(_says(dataset.get(name)) for name in names)}
        if str(dataset.get("PatientIdentityRemoved", "")).upper() == "YES":
            found.discard("patient")
        if any(element.tag.is_private for element in dataset):
            found.add("maker_data")
    except (InvalidDicomError, NotImplementedError, *_BROKEN):  # pydicom: no such transfer syntax
        return set()
    return found
