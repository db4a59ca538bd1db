"""Holding a visit at the unit: which release answers, which pictures were given, and every step on record.

* With a unit's home, the active release answers and the visit is journalled picture by picture: what is counted, and
  nothing of the patient (``records.counted``). With a release folder there is no unit and no record.
* A journal that cannot be written (full disk, card pulled) is said aloud and does not stop the visit: a unit can always
  screen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2

from eyebright_common.durable import write_bytes
from eyebright_common.errors import ImageError, InputError
from eyebright_common.release import BOTH_EYES, Eye, Release
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.records import CountingJournal, Journal, VisitJournal
from eyebright_edge.runtime import Runtime
from eyebright_edge.screening.facts import answer_facts, opened_facts, record_facts
from eyebright_edge.screening.overlay import overlay_attention
from eyebright_edge.screening.picture import ScreenedPicture, refused_picture, screen_picture
from eyebright_edge.screening.release import open_release
from eyebright_edge.screening.visit import ScreenedVisit, decide_visit, eye_in_name


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRelease:
    """The release that answers.

    Attributes:
        release: Its description.
        runtime: What has loaded it.
        home: The unit whose visit this is; None for a bare release folder.
        notice: What a person must know about it, empty when all is well.
    """

    release: Release
    runtime: Runtime
    home: UnitHome | None = None
    notice: str = ""


def chosen_release(*, home: Path | None, folder: Path | None) -> ChosenRelease:
    """Return the release in ``folder``, else the active one of the unit at ``home``.

    Raises:
        InputError: neither is given, or the unit has nothing to screen with.
        ReleaseError: the folder holds no release that can be used.
    """
    if folder is not None:
        opened = open_release(folder)
        return ChosenRelease(release=opened.release, runtime=opened.runtime)
    if home is None:
        raise InputError("nothing says which release answers", fix="Give --home DIR or --release DIR.")
    unit = UnitHome(home)
    unit.require()
    serving = unit.serving()
    opened = open_release(serving.folder)
    return ChosenRelease(release=opened.release, runtime=opened.runtime, home=unit, notice=serving.notice)


def given_pictures(
    pictures: Iterable[Path], *, right: Iterable[Path] = (), left: Iterable[Path] = ()
) -> tuple[tuple[Path, Eye], ...]:
    """Return the pictures of a visit with the eye each shows.

    Raises:
        InputError: no picture was given, or the same file twice.
    """
    unnamed = [(path, eye_in_name(path.name)) for path in pictures]
    given = (*((path, Eye.RIGHT) for path in right), *((path, Eye.LEFT) for path in left), *unnamed)
    if not given:
        raise InputError("no picture was given", fix="Name pictures, or give --right FILE and --left FILE.")
    files = [path for path, _ in given]
    twice = sorted({str(path) for path in files if files.count(path) > 1})
    if twice:
        raise InputError("a picture was given twice", value=", ".join(twice), fix="Give each picture once.")
    return given


def hold_visit(
    chosen: ChosenRelease,
    given: Sequence[tuple[Path, Eye]],
    *,
    clock: Callable[[], datetime],
    overlays: Path | None = None,
    expected: Collection[Eye] = BOTH_EYES,
) -> tuple[ScreenedVisit, tuple[str, ...]]:
    """Screen the pictures of one patient, on record if a unit holds the visit.

    Args:
        chosen: The release that answers.
        given: The pictures, each with its eye.
        clock: The present time, aware.
        overlays: Folder to write pictures of where the network looked into.
        expected: Eyes that had to be photographed; an existing collection of pictures passes ``()``.

    Returns:
        The visit, and what a person must be told about it.

    Raises:
        InputError: the folder for overlays cannot be written.
    """
    record = _Record(chosen, clock)
    pictures = []
    for number, (path, eye) in enumerate(given, start=1):
        picture = _screened(chosen, path, eye)
        record.add(picture)
        if overlays is not None:
            _write_overlay(overlays / f"{number:02d}-{path.stem}.png", picture)
        pictures.append(picture)
    visit = decide_visit(pictures, expected=expected)
    record.close(answer_facts(visit))
    nameless = any(picture.eye is Eye.UNKNOWN for picture in visit.pictures)
    unnamed = "Say which eye each picture shows with --right and --left." if nameless else ""
    told = (chosen.notice, *chosen.runtime.notices, unnamed, record.problem)
    return visit, tuple(notice for notice in told if notice)


def _screened(chosen: ChosenRelease, path: Path, eye: Eye) -> ScreenedPicture:
    try:
        return screen_picture(chosen.runtime, chosen.release, path, eye=eye)
    except ImageError as error:
        return refused_picture(error, name=str(path), eye=eye)


def _write_overlay(path: Path, picture: ScreenedPicture) -> None:
    if picture.prepared is None or picture.attention is None:
        return
    drawn = overlay_attention(picture.prepared, picture.attention)
    encoded = cv2.imencode(".png", drawn[:, :, ::-1])[1]
    try:
        write_bytes(path, encoded.tobytes())
    except OSError as error:
        raise InputError("the overlay cannot be written", value=f"{path} ({error.strerror})") from error


class _Record:
    """The journal of one visit; what it cannot write it says in ``problem``."""

    def __init__(self, chosen: ChosenRelease, clock: Callable[[], datetime]) -> None:
        self.problem = ""
        file = chosen.home.visits_file if chosen.home else None
        self._journal = VisitJournal(file, clock, journal=CountingJournal(Journal(file))) if file else None
        self._number: int | None = None
        if self._journal is not None:
            journal, release = self._journal, chosen.release
            self._number = self._keep(lambda: journal.open(release=release.version, **opened_facts(release)))

    def add(self, picture: ScreenedPicture) -> None:
        if self._journal is not None and self._number is not None:
            journal, number = self._journal, self._number
            self._keep(lambda: journal.add_picture(number, record_facts(picture, sha256=None)))

    def close(self, answer: Mapping[str, Any]) -> None:
        if self._journal is not None and self._number is not None:
            journal, number = self._journal, self._number
            self._keep(lambda: journal.close(number, answer))

    def _keep(self, write: Callable[[], int | None]) -> int | None:
        try:
            return write()
        except OSError as error:
            self.problem = f"This visit is not fully on record: {error.strerror}. Write the answer down."
            return None
