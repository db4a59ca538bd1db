"""Whatever a hospital points at, as records of manifest v1, and those judged for a task.

* A folder with a ``manifest.csv`` or ``manifest.jsonl`` is read by it; another folder by the first importer that
  recognises it, the folder per class last. A file that is a manifest is read as one; a table with a map is renamed.
* Nothing is lost on the way: every row and file is a row of the manifest or in one of its buckets, also where not one
  row can be used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.errors import InputError, ManifestError
from eyebright_common.imaging import IMAGE_SUFFIXES
from eyebright_common.manifest.importers.dicom_tree import DICOM
from eyebright_common.manifest.importers.foreign_tables import column_name, foreign_table
from eyebright_common.manifest.importers.graded_fundus import GRADED_FUNDUS
from eyebright_common.manifest.importers.grades import NORMAL_FOR_ONE, relabelled
from eyebright_common.manifest.importers.layout import Importer, own_patients
from eyebright_common.manifest.importers.listing import Listing
from eyebright_common.manifest.importers.mapping import DataMap
from eyebright_common.manifest.importers.oct_folders import FOLDERS, KERMANY, NEH
from eyebright_common.manifest.importers.odir import ODIR
from eyebright_common.manifest.importing import canonical_label, import_records
from eyebright_common.manifest.rows import Manifest, Row, manifest_of
from eyebright_common.manifest.tables import Record, read_records
from eyebright_common.tasks import TASKS, ScreeningTask, get_task, resolve_task

# The folder per class fits everything and comes last; a table of grades says more than a folder's name.
IMPORTERS: Mapping[str, Importer] = {
    importer.name: importer for importer in (DICOM, ODIR, *GRADED_FUNDUS, NEH, KERMANY, FOLDERS)
}
MANIFEST_NAMES = ("manifest.csv", "manifest.jsonl")
_TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".jsonl", ".ndjson"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was read, not yet judged.

    Attributes:
        path: The manifest or folder.
        root: The folder that paths are relative to.
        layout: ``manifest``, ``table`` or the importer's name.
        records: One per row or file.
        notes: Facts about the records, counted.
    """

    path: Path
    root: Path
    layout: str
    records: tuple[Record, ...]
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A source judged for a task.

    Attributes:
        manifest: Its rows, and the buckets of everything else; it may have no rows.
        task: What it was judged for.
        fits: Whether the labels fit the task at all; without two classes of it nothing can be learned.
    """

    manifest: Manifest
    task: ScreeningTask
    fits: bool


def read_source(path: Path, mapping: DataMap | None = None) -> Source:
    """Return the records of a manifest, table, folder, DICOM tree or DICOMDIR.

    Raises:
        ManifestError: there is nothing, or the file as a whole cannot be used.
        InputError: the map names a layout that does not exist.
    """
    chosen = mapping or DataMap()
    absolute = path.absolute()
    if not absolute.exists():
        raise ManifestError("there is no such manifest or folder", value=path, fix="Check the path.")
    if absolute.name.upper() == "DICOMDIR":
        return _folder(absolute.parent, DataMap(**{**chosen.model_dump(), "layout": "dicom"}))
    if absolute.is_dir():
        listed = next((absolute / name for name in MANIFEST_NAMES if (absolute / name).is_file()), None)
        return _table(listed, chosen) if listed is not None and not chosen.layout else _folder(absolute, chosen)
    if absolute.suffix.lower() not in _TABLE_SUFFIXES:
        fix = "Give a .csv or .jsonl manifest, a folder, or a DICOMDIR."
        raise ManifestError("this is no manifest", value=path, fix=fix)
    return _table(absolute, chosen)


def judge(source: Source, *, task: str | None) -> Judged:
    """Return the rows of ``source`` that are of ``task``, by default of the task that keeps most of them.

    Raises:
        InputError: the task is unknown.
    """
    if task is not None:
        return _judged(source, task)
    families = dict.fromkeys(known.family for known in TASKS.values())
    judged = [_judged(source, family) for family in families]
    return max(judged, key=lambda one: (one.fits, len(one.manifest.rows)))


def _judged(source: Source, name: str) -> Judged:
    labels = [canonical_label(record.values["label"]) for record in source.records if record.problem is None]
    task, fits = get_task(name), True
    try:
        task = resolve_task(name, [label for label in labels if label])
    except InputError:
        fits = False
    imported = import_records(source.records, root=source.root, task=task)
    unlisted = _unlisted(source, imported.rows) if source.layout in {"manifest", "table"} else []
    manifest = manifest_of(
        imported.rows,
        [*imported.problems, *unlisted],
        source=source.path,
        notes={**source.notes, **imported.notes},
    )
    return Judged(manifest=manifest, task=task, fits=fits)


def _unlisted(source: Source, rows: tuple[Row, ...]) -> list[tuple[str, str]]:
    """Return the pictures that lie beside listed ones without a row of their own."""
    listed = {row.image_path for row in rows}
    listed |= {source.root / record.values.get("image_path", "").replace("\\", "/") for record in source.records}
    beside = (file for folder in sorted({row.image_path.parent for row in rows}) for file in sorted(folder.iterdir()))
    return [
        (file.relative_to(source.root).as_posix(), "file_without_row")
        for file in beside
        if file not in listed and file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
    ]


def _folder(root: Path, mapping: DataMap) -> Source:
    listing = Listing.of(root)
    if mapping.layout is not None and mapping.layout not in IMPORTERS:
        raise InputError("unknown layout", value=mapping.layout, fix=f"Choose one of: {', '.join(IMPORTERS)}.")
    candidates = [IMPORTERS[mapping.layout]] if mapping.layout else list(IMPORTERS.values())
    importer = next(candidate for candidate in candidates if mapping.layout or candidate.recognises(listing))
    if mapping.layout and not importer.recognises(listing):
        raise ManifestError(f"the folder is not laid out as {importer.title}", value=root, fix="Leave --layout out.")
    return _source(root, root, importer.name, importer.read(listing), mapping)


def _table(path: Path, mapping: DataMap) -> Source:
    if not mapping.columns:
        records = read_records(path)
        return _source(path, path.parent, "manifest", records, mapping)
    wanted = {ours: column_name(theirs) for ours, theirs in mapping.columns.items()}
    rows = foreign_table(path)
    missing = sorted(set(wanted.values()) - {name for row in rows for name in row})
    if missing:
        raise ManifestError(f"the table has no column {missing[0]!r}", value=path, fix="Correct the map.")
    empty = {"image_path": "", "modality": "", "label": "", "patient_id": ""}
    records = [
        Record(line=line, values={**empty, **row, **{ours: row.get(theirs, "") for ours, theirs in wanted.items()}})
        for line, row in enumerate(rows, start=2)
    ]
    return _source(path, path.parent, "table", records, mapping)


def _source(path: Path, root: Path, layout: str, records: list[Record], mapping: DataMap) -> Source:
    constant = [
        record if record.problem else Record(line=record.line, values={**record.values, **mapping.constants})
        for record in records
    ]
    changed, one_disease = relabelled(constant, mapping.labels)
    notes = {NORMAL_FOR_ONE: one_disease, "patient_id_from_file_name": own_patients(changed)}
    return Source(
        path=path,
        root=root,
        layout=layout,
        records=tuple(changed),
        notes={name: count for name, count in notes.items() if count},
    )
