"""A DICOM tree or DICOMDIR: ophthalmic photographs, tomographs and secondary captures, one record per frame.

* Read: OP 8 and 16 bit, wide-field, OPT, VL photographic, secondary captures (single and multi-frame). A report or
  another kind of object is counted by name. Pixels are not touched here.
* The modality comes from the class of the object; a secondary capture says it by its Modality (OP, OPT), else unknown.
* A patient is issuer and id: two departments may have given one number twice. Never a name or a birth date.
* Laterality in the order Image Laterality, Laterality, Frame Laterality; never guessed from pixels.
* DICOM holds no label. It comes from ``labels.csv`` beside the tree (``sop_instance_uid``, ``study_instance_uid``,
  ``patient_id`` with or without ``eye``, or ``image_path``; and ``label``), else from a folder called like a class.
* With a DICOMDIR, what it names and is not there is missing, and what it does not name is ``file_without_row``.
"""

from __future__ import annotations

import warnings
from pathlib import Path, PurePosixPath
from typing import Any

from eyebright_common.manifest.importers.foreign_tables import age_band, foreign_table
from eyebright_common.manifest.importers.layout import OWN_PATIENT, Importer
from eyebright_common.manifest.importers.listing import Listing
from eyebright_common.manifest.tables import Record
from eyebright_common.tasks import TASKS, normalise_label

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_CFP = frozenset(_STORAGE + end for end in ("77.1.5.1", "77.1.5.2", "77.1.5.5", "77.1.5.6", "77.1.4"))
_OCT = frozenset(_STORAGE + end for end in ("77.1.5.4",))
_CAPTURES = frozenset(_STORAGE + end for end in ("7", "7.2", "7.3", "7.4"))
_PDF = _STORAGE + "104.1"
_MODALITIES = {"OP": "CFP", "OPT": "OCT", "OCT": "OCT"}
_LABELS = "labels.csv"
_KEYS = ("sop_instance_uid", "image_path", "study_instance_uid")
_HEADER_BYTES = 132


def is_dicom(path: Path) -> bool:
    """Return whether a file starts as a DICOM object does, whatever it is called."""
    try:
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES)[128:] == b"DICM"
    except OSError:
        return False


def _objects(listing: Listing) -> list[str]:
    return [name for name in listing.names if PurePosixPath(name).name.upper() != "DICOMDIR" and _maybe(listing, name)]


def _maybe(listing: Listing, name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    # Objects from a disc have no ending, or the end of a UID; what is plainly something else is not opened.
    known = suffix in {"", ".dcm", ".dicom", ".ima"} or suffix[1:].isdigit()
    return known and is_dicom(listing.root / name)


def _recognises(listing: Listing) -> bool:
    if listing.table("DICOMDIR") is not None:
        return True
    return len(_objects(listing)) * 2 > len(listing.names)


def _read(listing: Listing) -> list[Record]:
    with warnings.catch_warnings():
        # A reader's warning quotes the value it does not like, and that may be a name.
        warnings.simplefilter("ignore")
        return _tree_records(listing)


def _tree_records(listing: Listing) -> list[Record]:
    indexed = _indexed(listing)
    labels = _Labels.of(listing)
    tables = {path.relative_to(listing.root).as_posix() for path in listing.tables("DICOMDIR", _LABELS)}
    records: list[Record] = []
    objects = set(_objects(listing))
    for number, name in enumerate(sorted(objects), start=1):
        if indexed is not None and name.casefold() not in indexed:
            records.append(_problem(name, "file_without_row"))
        else:
            records.extend(_object_records(listing.root, name, number, labels))
    present = {name.casefold() for name in objects}
    records.extend(_problem(name, "file_missing") for name in sorted(indexed or ()) if name not in present)
    return [*records, *listing.unclaimed(objects | tables)]


def _problem(name: str, reason: str) -> Record:
    return Record(line=0, values={"image_path": name}, problem=reason)


def _indexed(listing: Listing) -> set[str] | None:
    """Return the files a DICOMDIR names, in small letters, or None where there is none."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    table = listing.table("DICOMDIR")
    if table is None:
        return None
    try:
        sequence = dcmread(table).get("DirectoryRecordSequence", [])
    except (InvalidDicomError, OSError, ValueError):
        return None
    above = table.parent.relative_to(listing.root)
    found: set[str] = set()
    for entry in sequence:
        parts = entry.get("ReferencedFileID")
        if parts:
            parts = [parts] if isinstance(parts, str) else list(parts)
            found.add(above.joinpath(*parts).as_posix().casefold())
    return found


class _Labels:
    """Labels from a table, by object, picture, study, or patient and eye."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        self._by: dict[tuple[str, ...], str] = {}
        for row in rows:
            label = row.get("label", "")
            for key in _KEYS:
                if row.get(key):
                    self._by[key, row[key].replace("\\", "/")] = label
            if row.get("patient_id"):
                self._by["patient_id", row["patient_id"], row.get("eye", "").upper()[:1]] = label

    @classmethod
    def of(cls, listing: Listing) -> _Labels:
        table = listing.table(_LABELS)
        return cls(foreign_table(table) if table is not None else [])

    def label(self, dataset: Any, name: str, eye: str) -> str:
        patient = str(dataset.get("PatientID", ""))
        keys: list[tuple[str, ...]] = [
            ("sop_instance_uid", str(dataset.get("SOPInstanceUID", ""))),
            ("image_path", name),
            ("patient_id", patient, eye),
            ("patient_id", patient, ""),
            ("study_instance_uid", str(dataset.get("StudyInstanceUID", ""))),
        ]
        written = next((self._by[key] for key in keys if key in self._by), None)
        return _folder_class(name) if written is None else written


def _folder_class(name: str) -> str:
    known = {label for task in TASKS.values() for label in task.classes}
    return next((part for part in PurePosixPath(name).parts[:-1] if normalise_label(part) in known), "")


def _object_records(root: Path, name: str, number: int, labels: _Labels) -> list[Record]:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        dataset = dcmread(root / name, stop_before_pixels=True)
        sop = str(dataset.get("SOPClassUID", ""))
        frames = int(dataset.get("NumberOfFrames") or 1)
    # NotImplementedError is how pydicom refuses a transfer syntax or a value it has no reader for.
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError):
        return [_problem(name, "unreadable")]
    if sop == _PDF:
        return [_problem(name, "encapsulated_pdf")]
    if sop not in _CFP | _OCT | _CAPTURES:
        return [_problem(name, "dicom_object_of_another_kind")]
    values = _values(dataset, name, sop, labels)
    if frames == 1:
        return [Record(line=number, values=values)]
    return [Record(line=number, values={**values, "frame_index": str(frame)}) for frame in range(1, frames + 1)]


def _values(dataset: Any, name: str, sop: str, labels: _Labels) -> dict[str, str]:
    eye = _laterality(dataset)
    said = _MODALITIES.get(str(dataset.get("Modality", "")), "")
    modality = "CFP" if sop in _CFP else "OCT" if sop in _OCT else said
    camera = " ".join(str(dataset.get(tag, "")).strip() for tag in ("Manufacturer", "ManufacturerModelName"))
    return {
        "image_path": name,
        "modality": modality,
        "label": labels.label(dataset, name, eye),
        "eye": eye,
        "exam_id": str(dataset.get("StudyInstanceUID", "")),
        "camera": camera.strip(),
        "age_band": age_band(str(dataset.get("PatientAge", "")).removesuffix("Y")),
        "sex": str(dataset.get("PatientSex", "")),
        **_patient(dataset, name),
    }


def _patient(dataset: Any, name: str) -> dict[str, str]:
    patient = str(dataset.get("PatientID", "")).strip()
    if not patient:
        return {"patient_id": PurePosixPath(name).as_posix(), "patient_id_source": OWN_PATIENT}
    issuer = str(dataset.get("IssuerOfPatientID", "")).strip()
    return {"patient_id": f"{issuer}|{patient}" if issuer else patient}


def _laterality(dataset: Any) -> str:
    frames = dataset.get("SharedFunctionalGroupsSequence") or []
    anatomy = (frames[0].get("FrameAnatomySequence") or []) if frames else []
    inner = str(anatomy[0].get("FrameLaterality", "")) if anatomy else ""
    sides = (str(dataset.get("ImageLaterality", "")), str(dataset.get("Laterality", "")), inner)
    return next((side for side in sides if side in {"R", "L"}), "")


DICOM = Importer(name="dicom", title="DICOM tree or DICOMDIR", recognises=_recognises, read=_read)
