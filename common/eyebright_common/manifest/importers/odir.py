"""ODIR-5K: one row per patient, two pictures, findings per eye in keywords.

* The columns N … O speak of the patient; only the keywords speak of an eye, so the label comes from them.
* Keywords are parted by full-width or plain commas. ``lens dust`` and the like say nothing about the eye.
* ``anterior segment image`` and ``no fundus image`` are no fundus photographs; a suspicion is not a diagnosis: neither
  gets a label of a task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from eyebright_common.manifest.importers.foreign_tables import age_band, columns_of, foreign_table
from eyebright_common.manifest.importers.grades import SEVERAL
from eyebright_common.manifest.importers.layout import Importer, picture_records
from eyebright_common.manifest.importers.listing import Listing
from eyebright_common.manifest.tables import Record

_NEEDED = frozenset({"id", "left_fundus", "right_fundus", "left_diagnostic_keywords", "right_diagnostic_keywords"})
_SEX = {"male": "M", "female": "F"}
_SILENT = ("lens dust", "optic disk photographically invisible", "low image quality", "image offset")
_NO_FUNDUS = ("anterior segment image", "no fundus image")
_FINDINGS = (
    ("normal fundus", "normal"),
    ("proliferative retinopathy", "diabetic_retinopathy"),
    ("diabetic retinopathy", "diabetic_retinopathy"),
    ("glaucoma", "glaucoma"),
    ("cataract", "cataract"),
    ("macular degeneration", "amd"),
    ("pathological myopia", "pathological_myopia"),
    ("hypertensive retinopathy", "hypertensive_retinopathy"),
)


def keywords_label(text: str) -> str:
    """Return the label that the keywords of one eye give."""
    words = [word.strip().lower() for word in re.split(r"[,\uff0c;]", text) if word.strip()]
    if any(word in _NO_FUNDUS for word in words):
        return "no_fundus_image"
    telling = [word for word in words if word not in _SILENT]
    labels = {_finding(word) for word in telling}
    if not labels:
        return ""
    return labels.pop() if len(labels) == 1 else SEVERAL


def _finding(word: str) -> str:
    if "suspect" in word:
        return "suspected"
    return next((label for part, label in _FINDINGS if part in word), "other")


def _table(listing: Listing) -> Path | None:
    tables = (listing.root / name for name in listing.names if PurePosixPath(name).suffix.lower() == ".csv")
    return next((path for path in tables if columns_of(path) >= _NEEDED), None)


def _rows(table: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    seen: set[tuple[str, str]] = set()
    for row in foreign_table(table):
        shared = {
            "modality": "CFP",
            "patient_id": row["id"],
            "age_band": age_band(row.get("patient_age", "")),
            "sex": _SEX.get(row.get("patient_sex", "").lower(), ""),
        }
        for eye in ("left", "right"):
            name = row[f"{eye}_fundus"]
            # One copy of the table has a line per eye, each naming both pictures.
            if name and (row["id"], name) not in seen:
                seen.add((row["id"], name))
                yield name, {**shared, "eye": eye, "label": keywords_label(row[f"{eye}_diagnostic_keywords"])}


def _read(listing: Listing) -> list[Record]:
    table = _table(listing)
    assert table is not None
    return picture_records(listing, _rows(table), tables=[table])


ODIR = Importer(name="odir", title="ODIR-5K", recognises=lambda listing: _table(listing) is not None, read=_read)
