"""OCT collections and anything else in a folder per class.

* Kermany OCT2017: ``CLASS-patient-n.jpeg``. The same number under several classes is one patient.
* NEH UT 2021: ``CLASS/case/[OD|OS/]…_label.tif``: a B-scan's own label may differ from its volume's class and counts.
  A case number is a patient inside its class only; known twins under two numbers are found as copies.
* Any other folder per class: the folder is the label, ``train``, ``val``, ``test`` above it are kept, and names that do
  not name a patient make each picture one of its own.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import PurePosixPath

from eyebright_common.manifest.folders import scan_folder
from eyebright_common.manifest.importers.foreign_tables import foreign_table
from eyebright_common.manifest.importers.layout import OWN_PATIENT, Importer, picture_records
from eyebright_common.manifest.importers.listing import Listing
from eyebright_common.manifest.tables import Record

_KERMANY = re.compile(r"^(CNV|DME|DRUSEN|NORMAL)-\d+-\d+$", re.IGNORECASE)
_NEH_CLASSES = frozenset({"normal", "drusen", "cnv"})
_NEH_TABLE = "data_information.csv"
_OCT_CLASSES = frozenset({"cnv", "dme", "drusen", "no_dme"})


def _kermany_names(listing: Listing) -> bool:
    pictures = listing.pictures()
    named = sum(bool(_KERMANY.match(PurePosixPath(name).stem)) for name in pictures)
    return bool(pictures) and named * 2 > len(pictures)


def _neh_case(name: str) -> tuple[str, str] | None:
    """Return class and case of ``…/CLASS/case/…/picture``."""
    parts = PurePosixPath(name).parts
    for folder, case in pairwise(parts):
        if folder.lower() in _NEH_CLASSES and case.isdigit():
            return folder.lower(), case
    return None


def _is_neh(listing: Listing) -> bool:
    pictures = listing.pictures()
    cases = sum(_neh_case(name) is not None for name in pictures)
    return bool(pictures) and cases * 2 > len(pictures)


def _read_neh(listing: Listing) -> list[Record]:
    labels = _neh_labels(listing)
    rows = []
    for name in listing.pictures():
        case = _neh_case(name)
        if case is None:
            continue
        words = re.split(r"[^a-z]+", PurePosixPath(name).stem.lower())
        spelled = next((word for word in reversed(words) if word in _NEH_CLASSES), "")
        eye = next((part for part in PurePosixPath(name).parts if part.upper() in {"OD", "OS"}), "")
        label = labels.get(PurePosixPath(name).as_posix().casefold()) or spelled or case[0]
        columns = {"modality": "OCT", "patient_id": f"{case[0]}/{case[1]}", "eye": eye, "label": label}
        rows.append((name, {**columns, "exam_id": f"{case[0]}/{case[1]}", "volume_class": case[0]}))
    return picture_records(listing, rows, tables=listing.tables(_NEH_TABLE))


def _neh_labels(listing: Listing) -> dict[str, str]:
    """Return picture → the label of the B-scan, from the table where it is there and names pictures."""
    found: dict[str, str] = {}
    for table in listing.tables(_NEH_TABLE):
        for row in foreign_table(table):
            written = next((row[name] for name in ("directory", "path", "image", "file") if row.get(name)), "")
            name, problem = listing.picture(written) if written else ("", "file_missing")
            if problem is None and row.get("label"):
                found[name.casefold()] = row["label"]
    return found


def _read_folders(listing: Listing, *, modality: str) -> list[Record]:
    records = []
    for record in scan_folder(listing.root, modality=modality).records:
        values = record.values
        if record.problem is None and values["patient_id"] == _stem(values["image_path"]):
            values["patient_id_source"] = OWN_PATIENT
        if not any(part.startswith(".") for part in PurePosixPath(values["image_path"]).parts):
            records.append(record)
    return records


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _folder_modality(listing: Listing) -> str:
    folders = {part.lower() for name in listing.pictures() for part in PurePosixPath(name).parts[:-1]}
    return "OCT" if folders & _OCT_CLASSES else "CFP"


KERMANY = Importer(
    name="kermany",
    title="Kermany OCT2017",
    recognises=_kermany_names,
    read=lambda listing: _read_folders(listing, modality="OCT"),
)
NEH = Importer(name="neh", title="NEH UT 2021", recognises=_is_neh, read=_read_neh)
FOLDERS = Importer(
    name="folders",
    title="a folder per class",
    recognises=lambda listing: True,
    read=lambda listing: _read_folders(listing, modality=_folder_modality(listing)),
)
