"""Fundus collections that come as pictures and one table of grades.

=============  ================================================  ======================================================
EyePACS        ``trainLabels.csv``: image, level                 ``10_left.jpeg``: both eyes are one patient
APTOS 2019     ``train.csv``: id_code, diagnosis                 no patient: each picture is one, copies are searched
Messidor-2     ``messidor_data.csv``: image_id, adjudicated_…    endings in another case; pairs in ``messidor-2.csv``
DeepDRiD       ``…-training.csv``: image_id, …_DR_Level          wrong paths, backslashes; grade 5 is ungradable
AIROGS         ``train_labels.csv``: challenge_id, class         no patient
BRSET, mBRSET  ``labels….csv``: image_id or file, DR_ICDR …      reasons of bad quality in columns of their own
=============  ================================================  ======================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from eyebright_common.manifest.importers.foreign_tables import age_band, columns_of, first_value, foreign_table
from eyebright_common.manifest.importers.grades import SEVERAL, icdr
from eyebright_common.manifest.importers.layout import Importer, picture_records
from eyebright_common.manifest.importers.listing import Listing
from eyebright_common.manifest.tables import Record

_CFP = {"modality": "CFP"}
_EYEPACS = re.compile(r"^(\d+)_(left|right)$")
_DEEPDRID_EYE = re.compile(r"_([lr])\d*$", re.IGNORECASE)
_DEEPDRID_SPLITS = {"training": "train", "validation": "validation", "evaluation": "test"}
_SEX = {"1": "M", "2": "F", "m": "M", "f": "F", "male": "M", "female": "F"}
_PAIRS = "messidor-2.csv"
_BRSET_QUALITY = ("quality", "focus", "iluminaton", "image_field", "artifacts", "final_quality", "final_artifacts")
_BRSET_FINDINGS = (
    "scar",
    "nevus",
    "amd",
    "vascular_occlusion",
    "hypertensive_retinopathy",
    "drusens",
    "hemorrhage",
    "retinal_detachment",
    "myopic_fundus",
    "increased_cup_disc",
    "other",
)

Row = tuple[str, Mapping[str, str]]
Reader = Callable[[Listing, Path], Iterable[Row]]


def _tables_with(listing: Listing, needed: tuple[str, ...]) -> list[Path]:
    """Return the tables that have all of these columns."""
    tables = (listing.root / name for name in listing.names if PurePosixPath(name).suffix.lower() == ".csv")
    return [path for path in tables if set(needed) <= columns_of(path)]


def _importer(name: str, title: str, needed: tuple[str, ...], rows: Reader) -> Importer:
    def read(listing: Listing) -> list[Record]:
        tables = _tables_with(listing, needed)
        found = [pair for table in tables for pair in rows(listing, table)]
        return picture_records(listing, found, tables=[*tables, *listing.tables(_PAIRS)])

    return Importer(name=name, title=title, recognises=lambda listing: bool(_tables_with(listing, needed)), read=read)


def _eyepacs(listing: Listing, table: Path) -> Iterable[Row]:
    for row in foreign_table(table):
        match = _EYEPACS.match(PurePosixPath(row["image"]).stem)
        patient = {"patient_id": match[1], "eye": match[2]} if match else {}
        yield row["image"], {**_CFP, "label": icdr(row["level"]), **patient}


def _aptos(listing: Listing, table: Path) -> Iterable[Row]:
    for row in foreign_table(table):
        yield row["id_code"], {**_CFP, "label": icdr(row["diagnosis"])}


def _messidor(listing: Listing, table: Path) -> Iterable[Row]:
    exams = _messidor_exams(listing)
    for row in foreign_table(table):
        name = row["image_id"]
        gradable = row.get("adjudicated_gradable", "1") != "0"
        exam = exams.get(PurePosixPath(name).stem.casefold())
        whose = {"patient_id": exam[0], "exam_id": exam[0], "eye": exam[1]} if exam else {}
        quality = {} if gradable else {"quality": "ungradable"}
        yield name, {**_CFP, "label": icdr(row["adjudicated_dr_grade"]) if gradable else "", **whose, **quality}


def _messidor_exams(listing: Listing) -> dict[str, tuple[str, str]]:
    """Return picture stem → (examination, eye) from the table of pairs, where it lies beside the pictures."""
    found: dict[str, tuple[str, str]] = {}
    for table in listing.tables(_PAIRS):
        for number, row in enumerate(foreign_table(table), start=1):
            for eye in ("left", "right"):
                if row.get(eye):
                    found[PurePosixPath(row[eye]).stem.casefold()] = (f"messidor-{number}", eye)
    return found


def _deepdrid(listing: Listing, table: Path) -> Iterable[Row]:
    split = next((name for word, name in _DEEPDRID_SPLITS.items() if word in table.as_posix().lower()), "")
    for row in foreign_table(table):
        side = _DEEPDRID_EYE.search(row["image_id"])
        eye = {"l": "left", "r": "right"}[side[1].lower()] if side else ""
        grade = first_value(row, f"{eye}_eye_dr_level", "dr_level")
        columns = {**_CFP, "patient_id": row["patient_id"], "eye": eye, "label": icdr(grade), "split": split}
        quality = "ungradable" if grade.removesuffix(".0") == "5" else row.get("overall_quality", "")
        # The stored path names folders that do not exist; the picture's own name is right.
        yield row["image_id"], {**columns, "quality": quality}


def _airogs(listing: Listing, table: Path) -> Iterable[Row]:
    words = {"rg": "referable_glaucoma", "nrg": "no_referable_glaucoma"}
    for row in foreign_table(table):
        yield row["challenge_id"], {**_CFP, "label": words.get(row["class"].lower(), "")}


def _brset(listing: Listing, table: Path) -> Iterable[Row]:
    for row in foreign_table(table):
        eye = {"1": "right", "2": "left"}.get(first_value(row, "exam_eye").removesuffix(".0"), "")
        yield (
            row["image_id"],
            {
                **_people(row, "patient_id", "patient_age", "patient_sex"),
                "eye": eye,
                "camera": row.get("camera", ""),
                "label": _brset_label(row),
                **_quality(row),
            },
        )


def _brset_label(row: dict[str, str]) -> str:
    """Return the one finding of a picture that was looked over for all of them."""
    found = [name for name in _BRSET_FINDINGS if row.get(name, "").removesuffix(".0") == "1"]
    retinopathy = icdr(first_value(row, "dr_icdr"))
    if retinopathy not in {"", "icdr_0"}:
        return SEVERAL if found else retinopathy
    if row.get("macular_edema", "").removesuffix(".0") == "1":
        found.append("macular_edema")
    if not found:
        return "normal" if retinopathy else ""
    return found[0] if len(found) == 1 else SEVERAL


def _mbrset(listing: Listing, table: Path) -> Iterable[Row]:
    for row in foreign_table(table):
        people = _people(row, "patient", "age", "")
        yield (
            row["file"],
            {
                **people,
                "eye": row.get("laterality", ""),
                "label": icdr(row["final_icdr"]),
                **_quality(row),
            },
        )


def _people(row: dict[str, str], patient: str, age: str, sex: str) -> dict[str, str]:
    return {
        **_CFP,
        "patient_id": row[patient].removesuffix(".0"),
        "age_band": age_band(row.get(age, "")),
        "sex": _SEX.get(row.get(sex, "").removesuffix(".0").lower(), ""),
    }


def _quality(row: dict[str, str]) -> dict[str, str]:
    return {name if "quality" in name else f"quality_{name}": row[name] for name in _BRSET_QUALITY if row.get(name)}


GRADED_FUNDUS = (
    _importer("eyepacs", "EyePACS (Kaggle 2015)", ("image", "level"), _eyepacs),
    _importer("aptos", "APTOS 2019", ("id_code", "diagnosis"), _aptos),
    _importer("messidor-2", "Messidor-2, adjudicated grades", ("image_id", "adjudicated_dr_grade"), _messidor),
    _importer("deepdrid", "DeepDRiD", ("patient_id", "image_id", "image_path", "patient_dr_level"), _deepdrid),
    _importer("airogs", "AIROGS", ("challenge_id", "class"), _airogs),
    _importer("brset", "BRSET", ("image_id", "patient_id", "dr_icdr"), _brset),
    _importer("mbrset", "mBRSET", ("file", "patient", "final_icdr"), _mbrset),
)
