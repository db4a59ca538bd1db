"""A data set as a person gives it, a manifest file or a folder, to rows and the task they are for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from eyebright_common.errors import InputError, ManifestError
from eyebright_common.imaging import IMAGE_SUFFIXES
from eyebright_common.manifest.folders import scan_folder
from eyebright_common.manifest.importing import Problem, canonical_label, import_records
from eyebright_common.manifest.rows import Manifest, Row, manifest_of
from eyebright_common.manifest.tables import Record, read_records
from eyebright_common.tasks import ScreeningTask, get_task, resolve_task

_TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".jsonl", ".ndjson"})
_MANIFEST_NAMES = ("manifest.csv", "manifest.jsonl")


def read_dataset(path: Path, *, task_family: str, exact: bool = False) -> tuple[Manifest, ScreeningTask]:
    """Return the rows of a manifest file or a folder per class, and the member of the task family they fit.

    A folder that holds a ``manifest.csv`` or ``manifest.jsonl`` is read by it.

    Args:
        path: The manifest file or the folder.
        task_family: A task or family name.
        exact: Whether the task is the one named, whatever labels are found; a release is judged on its own task.

    Raises:
        ManifestError: the source as a whole cannot be used.
        InputError: the task is unknown.
    """
    family = get_task(task_family)
    source = _source(path)
    if source.is_dir():
        scan = scan_folder(source, modality=family.modality)
        return _built(
            scan.records,
            source,
            source,
            _resolved(scan.records, task_family, source, exact),
            {"patient_id_from_file_name": scan.anonymous},
        )
    records = read_records(source)
    return _built(records, source, source.parent, _resolved(records, task_family, source, exact), {})


def _source(path: Path) -> Path:
    absolute = path.absolute()
    if absolute.is_dir():
        return next((absolute / name for name in _MANIFEST_NAMES if (absolute / name).is_file()), absolute)
    if not absolute.exists():
        raise ManifestError("there is no such manifest or folder", value=path, fix="Check the path.")
    if absolute.suffix.lower() not in _TABLE_SUFFIXES:
        raise ManifestError(
            "this is no manifest",
            value=path,
            fix="Give a .csv or .jsonl manifest, or a folder per class.",
        )
    return absolute


def _built(
    records: Sequence[Record], source: Path, root: Path, task: ScreeningTask, notes: dict[str, int]
) -> tuple[Manifest, ScreeningTask]:
    imported = import_records(records, root=root, task=task)
    unlisted = [] if source.is_dir() else _unlisted(records, imported.rows, root)
    manifest = manifest_of(
        imported.rows, [*imported.problems, *unlisted], source=source, notes={**notes, **imported.notes}
    )
    if not manifest.rows:
        why = ", ".join(f"{reason} {count}" for reason, count in manifest.left_out.items())
        raise ManifestError(
            f"no row can be used for task {task.name!r} ({why})",
            value=source,
            fix="Mend the rows by the reasons in brackets.",
        )
    return manifest, task


def _resolved(records: Sequence[Record], task_family: str, source: Path, exact: bool) -> ScreeningTask:
    if exact:
        return get_task(task_family)
    found = [canonical_label(record.values["label"]) for record in records if record.problem is None]
    try:
        return resolve_task(task_family, [label for label in found if label])
    except InputError as error:
        seen = ", ".join(f"{label} ({count})" for label, count in Counter(filter(None, found)).most_common(8))
        raise ManifestError(error.what, value=f"{source} has {seen or 'no labels'}", fix=error.fix) from None


def _unlisted(records: Sequence[Record], rows: Sequence[Row], root: Path) -> list[Problem]:
    """Return the picture files that lie beside listed ones without a row of their own."""
    listed = {row.image_path for row in rows}
    for record in records:
        written = record.values.get("image_path", "").replace("\\", "/")
        listed.add(root / written)
    folders = {row.image_path.parent for row in rows}
    beside = (file for folder in sorted(folders) for file in sorted(folder.iterdir()))
    return [
        (file.relative_to(root).as_posix(), "file_without_row")
        for file in beside
        if file not in listed and file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
    ]
