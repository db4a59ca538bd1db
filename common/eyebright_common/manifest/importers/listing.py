"""What lies below a folder: every file once, found by name or by stem whatever its case.

* A table names pictures without folder or ending, or with a wrong one; the file's own name is what can be trusted.
* Files that no row claims are not lost: ``unclaimed`` gives each of them with its bucket.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from eyebright_common.imaging import IMAGE_SUFFIXES
from eyebright_common.imaging.refusals import VENDOR_SUFFIXES
from eyebright_common.manifest.tables import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of one folder.

    Attributes:
        root: The folder, absolute.
        names: Every file below it, relative, with forward slashes, sorted.
    """

    root: Path
    names: tuple[str, ...]
    _stems: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Listing:
        """Return the listing of ``root``; hidden files and folders are nobody's data."""
        found: list[str] = []
        for folder, inner, names in os.walk(root):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            here = Path(folder).relative_to(root)
            found.extend((here / name).as_posix() for name in names if not name.startswith("."))
        listing = cls(root=root, names=tuple(sorted(found)))
        for name in listing.pictures():
            listing._stems.setdefault(PurePosixPath(name).stem.casefold(), []).append(name)
        return listing

    def pictures(self) -> list[str]:
        """Return the files that are pictures by their ending."""
        return [name for name in self.names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]

    def table(self, *file_names: str) -> Path | None:
        """Return the first file that has one of these names, wherever it lies."""
        return next(iter(self.tables(*file_names)), None)

    def tables(self, *file_names: str) -> list[Path]:
        """Return the files that have one of these names, wherever they lie."""
        wanted = {name.casefold() for name in file_names}
        return [self.root / name for name in self.names if PurePosixPath(name).name.casefold() in wanted]

    def picture(self, written: str) -> tuple[str, str | None]:
        """Return the file a table means by ``written``, and the bucket where that is not one file.

        The folder and the ending may be missing or wrong: pictures are found by their stem; where several share it, the
        one whose path ends as written is meant.
        """
        path = PurePosixPath(written.strip().replace("\\", "/"))
        stem = path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
        found = self._stems.get(stem.casefold(), [])
        if len(found) > 1:
            ending = path.as_posix().strip("/").casefold()
            found = [name for name in found if name.casefold().endswith(ending)] or found
        if len(found) > 1:
            return written, "several_files_of_that_name"
        return (found[0], None) if found else (written, "file_missing")

    def unclaimed(self, claimed: Iterable[str], *, ignore: Iterable[Path] = ()) -> list[Record]:
        """Return a record with its bucket for each file that is neither claimed nor one of the tables."""
        taken = set(claimed) | {path.relative_to(self.root).as_posix() for path in ignore}
        return [
            Record(line=0, values={"image_path": name}, problem=_bucket(name))
            for name in self.names
            if name not in taken
        ]


def _bucket(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "file_without_row"
    return "vendor_format" if suffix in VENDOR_SUFFIXES else "not_a_picture_file"
