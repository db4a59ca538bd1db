"""Somebody else's table as dictionaries: whatever its columns, delimiter and line ends; UTF-8 only, as everywhere."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from eyebright_common.errors import ManifestError
from eyebright_common.manifest.tables import read_text


def column_name(cell: str) -> str:
    """Return a column's name in lower case with underscores: ``Left-Diagnostic Keywords`` and the like."""
    return re.sub(r"[^a-z0-9]+", "_", cell.strip().strip("\ufeff").lower()).strip("_")


def foreign_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by normalised column name, cells stripped, empty rows left out.

    Raises:
        ManifestError: the file cannot be read as a table.
    """
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max((",", ";", "\t"), key=first.count)
    try:
        lines = [cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(cells)]
    except csv.Error as error:
        raise ManifestError(f"the table breaks off ({error})", value=path, fix="Save it again as CSV UTF-8.") from None
    if not lines:
        raise ManifestError("the table is empty", value=path, fix="Copy it again.")
    columns = [column_name(cell) for cell in lines[0]]
    return [dict(zip(columns, (cell.strip() for cell in cells), strict=False)) for cells in lines[1:]]


def columns_of(path: Path) -> frozenset[str]:
    """Return the normalised column names of a table, none where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
    except (OSError, UnicodeDecodeError):
        return frozenset()
    return frozenset(column_name(cell) for cell in re.split(r"[,;\t]", first))


def first_value(row: dict[str, str], *columns: str) -> str:
    """Return the first of these columns that is not empty."""
    return next((row[column] for column in columns if row.get(column)), "")


def age_band(years: str) -> str:
    """Return the ten-year band of an age, empty where none is given; from 90 on is one band: few are that old."""
    digits = re.match(r"^(\d{1,3})(?:\.\d+)?$", years.strip())
    if digits is None:
        return ""
    age = int(digits[1])
    return "90+" if age >= 90 else f"{age // 10 * 10}-{age // 10 * 10 + 9}"
