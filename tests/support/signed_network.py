"""A small signed network for tests: a repository with a fake release in it, and a clock that is set by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from eyebright_common.trust import FolderFetcher, UpdateClient
from eyebright_server.release.repository import ReleaseRepository

MODEL = bytes(range(256)) * 4 * 700  # 700 KiB: three chunks on the wire


@dataclass
class Clock:
    """The time, moved by hand; starts now, because certificates and python-tuf read the real clock."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, span: timedelta) -> None:
        self.now += span


def write_release(
    folder: Path, *, version: str = "1", task: str = "fundus", files: Mapping[str, bytes] | None = None
) -> Path:
    """Write a folder that has the shape of a release; its model is not a model."""
    folder.mkdir(parents=True)
    (folder / "release.json").write_text(json.dumps({"task": task, "version": version}))
    for name, data in (files if files is not None else {"model.onnx": MODEL, "card.md": b"# card\n"}).items():
        (folder / name).write_bytes(data)
    return folder


class QuickStorage:
    """Writes without waiting for the disk: what is written in which order is the same, and the tests are quick."""

    def write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def copy(self, source: Path, path: Path) -> None:
        shutil.copyfile(source, path)


def new_repository(folder: Path, *, clock: Clock | None = None) -> ReleaseRepository:
    """Make an empty repository under ``folder``; without a clock of its own a copy of one made earlier."""
    where = (folder / "repository", folder / "keys")
    if clock is not None or where[0].exists():
        return ReleaseRepository.create(*where, clock=clock or Clock(), storage=QuickStorage())
    for name, content, mode in _template():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    (where[0] / "targets").mkdir()
    return ReleaseRepository.open(*where, storage=QuickStorage())


@cache
def _template() -> tuple[tuple[Path, bytes, int], ...]:
    # Waiting for the disk dozens of times per repository is right for an operator and too long for a hundred tests.
    with TemporaryDirectory() as made:
        folder = Path(made)
        ReleaseRepository.create(folder / "repository", folder / "keys")
        files = [path for path in folder.rglob("*") if path.is_file()]
        return tuple((p.relative_to(folder), p.read_bytes(), p.stat().st_mode & 0o777) for p in files)


def folder_client(repository: ReleaseRepository, state: Path) -> UpdateClient:
    """Return a client that reads the repository's folder, trusting its first root."""
    root = (repository.folder / "metadata" / "1.root.json").read_bytes()
    return UpdateClient(state, FolderFetcher(repository.folder), root)
