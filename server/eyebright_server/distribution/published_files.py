"""The files a repository publishes, by the names under which they may be asked for.

* A request is looked up in an index of what is there; it is never joined to a path. A name that climbs out of the
  folder, is absolute or is strangely encoded is simply not in the index.
* Links are not indexed. Of the metadata only the specification's names are: a temporary file is nobody's.
* The index is made anew when the timestamp file has changed, since every publication ends by replacing it.
* A target is sent as messages that are packed here, in a worker thread: the event loop hands bytes on. The checksum of
  a piece is computed once for all who fetch it, since a published file never changes; what a disk spoils later is
  found by the receiver, who computes it.
"""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path

from eyebright_common.errors import InputError, NotPublished
from eyebright_common.wire import CHUNK_BYTES
from eyebright_common.wire.distribution_pb2 import TargetChunk

READ_AHEAD = 4  # pieces; twice as many, 2 MiB, for every download in progress: some are sent while some are read
# Number and kind of the field ``data``, as it stands on the wire: (number << 3) | length-delimited.
_DATA_TAG = bytes([TargetChunk.DESCRIPTOR.fields_by_name["data"].number << 3 | 2])
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


class Pieces:
    """Reads targets piece by piece, packed as ``TargetChunk`` messages; its methods block.

    Args:
        files: For how many files checksums are remembered, 4 bytes for every 256 KiB.
    """

    def __init__(self, *, files: int = 256) -> None:
        self._files = files
        self._checksums: dict[tuple[Path, int, int], dict[int, int]] = {}

    def read_ahead(self, path: Path, offset: int, total: int) -> tuple[list[bytes], int]:
        """Return the next few messages of a file from ``offset`` on, at least one, and where they end.

        A few at once: going to a worker thread and back costs as much as sending one. Pieces end at multiples of
        256 KiB, wherever the first of them begins.
        """
        messages: list[bytes] = []
        with path.open("rb", buffering=0) as file:
            known = self._known(path, file.fileno())
            file.seek(offset)
            for _ in range(READ_AHEAD):
                data = file.read(CHUNK_BYTES - offset % CHUNK_BYTES)
                if not data and messages:
                    break
                if offset % CHUNK_BYTES or (crc32 := known.get(offset)) is None:
                    crc32 = zlib.crc32(data)
                    if offset % CHUNK_BYTES == 0:
                        known[offset] = crc32
                messages.append(_packed(offset, data, crc32, total))
                offset += len(data)
                if offset >= total:
                    break
        return messages, offset

    def _known(self, path: Path, descriptor: int) -> dict[int, int]:
        stat = os.fstat(descriptor)
        if len(self._checksums) >= self._files:
            self._checksums.clear()
        return self._checksums.setdefault((path, stat.st_mtime_ns, stat.st_size), {})


def _packed(offset: int, data: bytes, crc32: int, total: int) -> bytes:
    # A message is the concatenation of its fields in any order: its bytes are copied once, here.
    rest = TargetChunk(offset=offset, crc32=crc32, total_bytes=total).SerializeToString()
    length, varint = len(data), bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    return b"".join((rest, _DATA_TAG, varint, data))


def _index(folder: Path, pattern: re.Pattern[str]) -> dict[str, Path]:
    found = ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*"))
    return {name: path for name, path in found if pattern.fullmatch(name) and path.is_file() and not path.is_symlink()}
