"""From a path as written in a manifest to a file, or to the bucket it is counted in.

* Backslashes are separators (manifests travel from Windows); a path that is absolute, or climbs out of the manifest's
  folder, is refused: a manifest must not read files of somebody else. Symbolic links inside the folder are followed,
  they are the owner's own doing.
* A name that differs from the file only in case is accepted when exactly one file matches, and noted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(slots=True, kw_only=True)
class Locator:
    """Finds files under one folder, remembering what it listed.

    Attributes:
        root: The manifest's folder, absolute.
        case_corrected: How many names were accepted in another case.
    """

    root: Path
    case_corrected: int = 0
    _listings: dict[Path, dict[str, list[str]]] = field(default_factory=dict)

    def normalised(self, written: str) -> str | None:
        """Return the path with forward slashes and without detours, or None where it leaves the folder."""
        slashed = written.replace("\\", "/")
        if not slashed or "\x00" in slashed or slashed.startswith("/") or _DRIVE.match(slashed):
            return None
        straight = os.path.normpath(slashed)
        return None if straight in {".", ".."} or straight.startswith("../") else straight

    def find(self, name: str) -> Path | None:
        """Return the file a normalised name stands for, or None where there is none."""
        here = self.root
        corrected = False
        for part in name.split("/"):
            listing = self._listing(here)
            if listing is None:
                return None
            matches = listing.get(part.casefold(), [])
            if part in matches:
                here = here / part
            elif len(matches) == 1:
                here, corrected = here / matches[0], True
            else:
                return None
        if not here.is_file():
            return None
        self.case_corrected += corrected
        return here

    def _listing(self, folder: Path) -> dict[str, list[str]] | None:
        if folder not in self._listings:
            listing: dict[str, list[str]] = {}
            try:
                for entry in os.scandir(folder):
                    listing.setdefault(entry.name.casefold(), []).append(entry.name)
            except OSError:
                listing = {}
            self._listings[folder] = listing
        return self._listings[folder] or None
