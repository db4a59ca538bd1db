"""A folder per class as records: ``CLASS/…/picture.jpeg``, optionally below ``train``, ``val`` and ``test``.

* The class folder's name is the label. Kermany names (``CLASS-patient-n.jpeg``) carry the patient number, which is the
  patient whatever class it stands under; EyePACS names (``patient_left.jpeg``) carry patient and eye.
* Any other name says nothing about the patient: each picture is then a patient of its own, the note
  ``patient_id_from_file_name`` says how many, and near-duplicate clusters are all that keeps copies together.
* A file that is no picture, or lies outside a class folder, is counted; an empty class folder refuses the data set.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.errors import ManifestError
from eyebright_common.imaging import IMAGE_SUFFIXES
from eyebright_common.manifest.tables import Record

_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_KERMANY = re.compile(r"^[A-Za-z]+-(\d+)-\d+$")
_EYEPACS = re.compile(r"^(\d+)_(left|right)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderScan:
    """The records of a folder, and how many of them have no patient of their own."""

    records: tuple[Record, ...]
    anonymous: int


def scan_folder(root: Path, *, modality: str) -> FolderScan:
    """Return one record per file below ``root``.

    Raises:
        ManifestError: there is no class folder, no picture, or a class folder without pictures.
    """
    files = sorted(_files(root))
    records = [_record(root, file, modality, number) for number, file in enumerate(files, start=1)]
    _check_classes(root, [record for record in records if record.problem is None])
    anonymous = sum("patient_of_its_own" in record.values for record in records)
    for record in records:
        record.values.pop("patient_of_its_own", None)
    return FolderScan(records=tuple(records), anonymous=anonymous)


def _files(root: Path) -> list[str]:
    found: list[str] = []
    for folder, _, names in os.walk(root):
        found.extend((Path(folder) / name).relative_to(root).as_posix() for name in names)
    return found


def _record(root: Path, name: str, modality: str, number: int) -> Record:
    path = Path(name)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return Record(line=number, values={"image_path": name}, problem="not_a_picture_file")
    parts = path.parts
    split = _SPLITS.get(parts[0].lower()) if len(parts) > 2 else None
    folders = parts[1:-1] if split else parts[:-1]
    if not folders:
        return Record(line=number, values={"image_path": name}, problem="file_outside_class_folder")
    values = {"image_path": name, "modality": modality, "label": folders[0], "split": split or ""}
    return Record(line=number, values={**values, **_patient(path)})


def _patient(path: Path) -> dict[str, str]:
    if match := _KERMANY.match(path.stem):
        return {"patient_id": match[1]}
    if match := _EYEPACS.match(path.stem):
        return {"patient_id": match[1], "eye": match[2]}
    return {"patient_id": path.with_suffix("").as_posix(), "patient_of_its_own": "yes"}


def _check_classes(root: Path, pictures: list[Record]) -> None:
    if not root.is_dir():
        raise ManifestError("there is no such file or folder", value=root, fix="Correct the path.")
    if not pictures:
        raise ManifestError(
            "the folder has no pictures in class folders",
            value=root,
            fix="Give a manifest file, or a folder with one sub-folder of pictures per class.",
        )
    filled = {tuple(Path(record.values["image_path"]).parts) for record in pictures}
    for folder in sorted(entry for entry in root.iterdir() if entry.is_dir()):
        inner = [entry for entry in folder.iterdir() if entry.is_dir()] if folder.name.lower() in _SPLITS else []
        for candidate in inner or [folder]:
            parts = candidate.relative_to(root).parts
            if not any(name[: len(parts)] == parts for name in filled):
                raise ManifestError(
                    "a class folder has no pictures", value=candidate, fix="Fill it, or remove the empty folder."
                )
