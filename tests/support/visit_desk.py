"""A desk for tests: a unit with a tiny release, a clock set by hand, pictures drawn once."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import cv2

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import UnitSettings, write_settings
from eyebright_edge.records.unit_records import UnitRecords
from eyebright_edge.screening.desk import DeskRules, VisitDesk
from retina_pictures import Pixels, nothing_to_see, retina
from tiny_release import write_tiny_release

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
IN_SCOPE = {"consent": "yes", "age": "54", "symptoms": "no", "treatment": "no", "diabetes": "yes"}


def png(image: Pixels) -> bytes:
    return bytes(cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())


@cache
def good_picture(seed: int = 0) -> bytes:
    return png(retina(seed=seed))


@cache
def dark_picture(level: int = 0) -> bytes:
    image = nothing_to_see()
    image[:4] = level  # Another file each time, and just as dark.
    return png(image)


def records_at(home: UnitHome) -> UnitRecords:
    """Return a unit's records, opened by a key file beside its home."""
    key_file = home.root.parent / "unit.key"
    records = UnitRecords(home.root, home.visits_file, clock=lambda: NOON, key_file=key_file)
    assert records.open_unattended()
    return records


def desk_at(home: UnitHome, rules: DeskRules | None = None, records: UnitRecords | None = None) -> VisitDesk:
    kept = records or records_at(home)
    return VisitDesk(home, clock=lambda: NOON, pictures=kept.pictures, journal=kept.journal, rules=rules, unit="u")


def planted(home: UnitHome, *words: str | bytes) -> list[str]:
    """Return the files in a unit's home, names included, in which one of the words can be read."""
    sought = [word.encode() if isinstance(word, str) else word for word in words]
    files = [file for file in home.root.rglob("*") if file.is_file()]
    return [str(f) for f in files if any(w in str(f.relative_to(home.root)).encode() + f.read_bytes() for w in sought)]


def install(home: UnitHome, version: str, **release: Any) -> None:
    """Let a tiny release serve, beside the one before it."""
    write_tiny_release(home.release_folder(version), version=version, **release)
    home.activate(version)


def unit_with_release(folder: Path, **release: Any) -> UnitHome:
    home = UnitHome(folder / "unit")
    home.create()
    write_settings(home, UnitSettings(task="fundus"))
    install(home, "1", **release)
    return home
