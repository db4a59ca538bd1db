"""A manifest file, CSV or JSON lines, as records of strings; nothing is judged here but the file itself.

* CSV may be written by a spreadsheet: byte-order mark, semicolon or tab delimiter, capital letters and spaces in column
  names, CRLF. UTF-16 and Latin-1 are refused by name: a guessed encoding changes patient ids silently.
* A missing or doubled column refuses the file, naming the column; a malformed line is one record with a bucket.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from eyebright_common.errors import ManifestError

REQUIRED = ("image_path", "modality", "label", "patient_id")
_COLUMN_SYNONYMS = {"labels": "label", "path": "image_path", "laterality": "eye"}
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of a manifest file.

    Attributes:
        line: Line number, counted from 1, for messages.
        values: Column → text, stripped.
        problem: The bucket this line is counted in, where it could not be read.
    """

    line: int
    values: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


def read_records(path: Path) -> list[Record]:
    """Return the records of a manifest file.

    Raises:
        ManifestError: the file as a whole cannot be used.
    """
    text = read_text(path)
    records = list(_json_lines(text, path) if path.suffix.lower() in {".jsonl", ".ndjson"} else _csv_lines(text, path))
    if not records:
        raise ManifestError("the manifest has no rows", value=path, fix="Add one row per picture.")
    return records


def read_text(path: Path) -> str:
    """Return the text of a table.

    Raises:
        ManifestError: it cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError("the manifest cannot be read", value=path, fix=f"{error.strerror}.") from None
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in data[:4096]:
        raise ManifestError("the manifest is not UTF-8 text", value=path, fix="Save it as CSV UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ManifestError(
            f"the manifest is not UTF-8 (line {line})", value=path, fix="Save it as CSV UTF-8."
        ) from None


def _csv_lines(text: str, path: Path) -> Iterator[Record]:
    header_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = [_column(cell) for cell in cells]
                _check_columns(columns, path)
            elif len(cells) != len(columns):
                yield Record(line=reader.line_num, problem="malformed_row")
            else:
                values = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
                yield Record(line=reader.line_num, values=values)
    except csv.Error as error:
        what = f"the manifest breaks off at line {reader.line_num} ({error})"
        raise ManifestError(what, value=path, fix="Save it again as CSV UTF-8.") from None
    if columns is None:
        raise ManifestError("the manifest is empty", value=path, fix=f"Start it with: {','.join(REQUIRED)}.")


def _json_lines(text: str, path: Path) -> Iterator[Record]:
    seen: set[str] = set()
    records: list[Record] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        values = _json_object(line)
        records.append(
            Record(line=number, problem="malformed_row") if values is None else Record(line=number, values=values)
        )
        seen.update(values or {})
    if any(record.problem is None for record in records):
        _check_columns(sorted(seen), path)
    # What no line has is a missing column; what one line lacks is that line's own fault.
    yield from (record if _complete(record) else replace(record, problem="malformed_row") for record in records)


def _complete(record: Record) -> bool:
    return all(column in record.values for column in REQUIRED)


def _json_object(line: str) -> dict[str, str] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if any(isinstance(item, (dict, list)) for item in value.values()):
        return None
    return {_column(str(key)): "" if item is None else str(item).strip() for key, item in value.items()}


def _column(cell: str) -> str:
    word = cell.strip().strip("\ufeff").lower().replace(" ", "_").replace("-", "_")
    return _COLUMN_SYNONYMS.get(word, word)


def _check_columns(columns: Sequence[str], path: Path) -> None:
    doubled = sorted({column for column in columns if column and columns.count(column) > 1})
    if doubled:
        raise ManifestError(f"column {doubled[0]!r} appears twice", value=path, fix="Keep one column of that name.")
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise ManifestError(
            f"the manifest has no column {', '.join(repr(name) for name in missing)}",
            value=path,
            fix=f"Add it; the required columns are {', '.join(REQUIRED)}, found: {', '.join(columns) or 'none'}.",
        )
