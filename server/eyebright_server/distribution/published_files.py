"""The files a repository publishes, by the names under which they may be asked for.

* A request is looked up in an index of what is there; it is never joined to a path. A name that climbs out of the
  folder, is absolute or is strangely encoded is simply not in the index.
* Links are not indexed. Of the metadata only the specification's names are: a temporary file is nobody's.
* The index is made anew when the timestamp file has changed, since every publication ends by replacing it.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from eyebright_common.errors import InputError, NotPublished
from eyebright_common.wire import CHUNK_BYTES
from eyebright_common.wire.distribution_pb2 import TargetChunk

READ_AHEAD = 8  # 2 MiB for every download in progress
_METADATA_NAME = re.compile(r"timestamp\.json|[1-9][0-9]{0,9}\.(root|snapshot|targets|students|teachers)\.json")
_TARGET_NAME = re.compile(r"(.+/)?[0-9a-f]{64}\.[^/]+")


class PublishedFiles:
    """Reads published files by name; its methods block and belong in a worker thread.

    Args:
        repository: Folder with ``metadata/`` and ``targets/``.
    """

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._seen: tuple[int, int, int] | None = None
        self._metadata: dict[str, Path] = {}
        self._targets: dict[str, Path] = {}

    def metadata(self, name: str) -> bytes:
        """Return a metadata file.

        Raises:
            NotPublished: there is none of that name.
        """
        self._refresh()
        path = self._metadata.get(name)
        if path is None:
            raise NotPublished("no such metadata")
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise NotPublished("no such metadata") from error

    def target(self, name: str, offset: int) -> tuple[Path, int]:
        """Return path and length of a target that is to be read from ``offset``.

        Raises:
            NotPublished: there is none of that name.
            InputError: the offset lies beyond its end.
        """
        self._refresh()
        path = self._targets.get(name)
        if path is None or not path.is_file():
            raise NotPublished("no such target")
        size = path.stat().st_size
        if offset > size:
            raise InputError("the offset lies beyond the end of the file", value=offset)
        return path, size

    def _refresh(self) -> None:
        try:
            stat = (self._repository / "metadata" / "timestamp.json").stat()
        except FileNotFoundError:
            return
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._metadata = _index(self._repository / "metadata", _METADATA_NAME)
            self._targets = _index(self._repository / "targets", _TARGET_NAME)
            self._seen = seen


def read_ahead(path: Path, offset: int, total: int) -> list[TargetChunk]:
    """Return the next few chunks of a file from ``offset`` on, at least one, each with its checksum.

    A few at once: going to a worker thread and back costs as much as sending a chunk.
    """
    chunks: list[TargetChunk] = []
    with path.open("rb") as file:
        file.seek(offset)
        for _ in range(READ_AHEAD):
            data = file.read(CHUNK_BYTES)
            if data or not chunks:
                chunks.append(TargetChunk(offset=offset, data=data, crc32=zlib.crc32(data), total_bytes=total))
            offset += len(data)
    return chunks


def _index(folder: Path, pattern: re.Pattern[str]) -> dict[str, Path]:
    found = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*"))
    return {name: path for name, path in found if pattern.fullmatch(name) and path.is_file() and not path.is_symlink()}
