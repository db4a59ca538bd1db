"""Targets as packed messages: any offset, any length, what a client unpacks is the file."""

import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common.wire import CHUNK_BYTES
from eyebright_common.wire.distribution_pb2 import TargetChunk
from eyebright_server.distribution.published_files import READ_AHEAD, Pieces


def unpacked(messages: list[bytes]) -> list[TargetChunk]:
    return [TargetChunk.FromString(message) for message in messages]


def whole(pieces: Pieces, path: Path, offset: int, total: int) -> list[TargetChunk]:
    """Read from an offset to the end, as the service does."""
    chunks: list[TargetChunk] = []
    while True:
        messages, after = pieces.read_ahead(path, offset, total)
        chunks += unpacked(messages)
        if after >= total or after == offset:
            return chunks
        offset = after


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("targets")


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 6 * CHUNK_BYTES), share=st.floats(0, 1))
def test_what_is_unpacked_is_the_file_from_the_offset_on(folder: Path, size: int, share: float) -> None:
    path, content, offset = folder / "target", os.urandom(size), int(size * share)
    path.write_bytes(content)
    chunks = whole(Pieces(), path, offset, size)
    assert b"".join(chunk.data for chunk in chunks) == content[offset:]
    assert all(chunk.crc32 == zlib.crc32(chunk.data) and chunk.total_bytes == size for chunk in chunks)
    assert [chunk.offset for chunk in chunks] == [offset, *(c.offset + len(c.data) for c in chunks[:-1])]
    assert all(len(chunk.data) <= CHUNK_BYTES for chunk in chunks)


def test_a_packed_message_is_the_one_protobuf_would_write(folder: Path) -> None:
    path = folder / "long"
    path.write_bytes(os.urandom(CHUNK_BYTES + 5))
    messages, _ = Pieces().read_ahead(path, 0, CHUNK_BYTES + 5)
    assert len(messages) == 2
    for message in messages:
        written = TargetChunk.FromString(message).SerializeToString()
        assert (len(written), TargetChunk.FromString(written)) == (len(message), TargetChunk.FromString(message))


def test_a_few_pieces_are_read_at_once_and_no_more(folder: Path) -> None:
    path = folder / "many"
    path.write_bytes(bytes(20 * CHUNK_BYTES))
    messages, after = Pieces().read_ahead(path, 0, 20 * CHUNK_BYTES)
    assert (len(messages), after) == (READ_AHEAD, READ_AHEAD * CHUNK_BYTES)


def test_a_checksum_is_computed_once_and_anew_for_another_file_of_the_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, pieces, counted = folder / "counted", Pieces(), []
    monkeypatch.setattr(zlib, "crc32", lambda data, real=zlib.crc32: counted.append(len(data)) or real(data))
    path.write_bytes(b"a" * CHUNK_BYTES)
    for _ in range(3):
        whole(pieces, path, 0, CHUNK_BYTES)
    assert counted == [CHUNK_BYTES]
    path.write_bytes(b"b" * (CHUNK_BYTES - 1))
    (chunk,) = whole(pieces, path, 0, CHUNK_BYTES - 1)
    monkeypatch.undo()
    assert chunk.crc32 == zlib.crc32(chunk.data)


def test_a_disk_that_spoils_a_served_file_is_found_out_by_the_receiver(folder: Path) -> None:
    path, pieces = folder / "rotten", Pieces()
    path.write_bytes(b"a" * CHUNK_BYTES)
    whole(pieces, path, 0, CHUNK_BYTES)
    before = path.stat()
    path.write_bytes(b"a" * (CHUNK_BYTES - 1) + b"b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (chunk,) = whole(pieces, path, 0, CHUNK_BYTES)
    assert chunk.crc32 != zlib.crc32(chunk.data)


def test_a_file_that_ends_early_ends_the_stream(folder: Path) -> None:
    path = folder / "short"
    path.write_bytes(b"abc")
    chunks = whole(Pieces(), path, 0, 10)
    assert [chunk.data for chunk in chunks] == [b"abc", b""]


def test_the_memory_of_checksums_is_bounded(folder: Path) -> None:
    pieces = Pieces(files=2)
    for name in "abc":
        (folder / name).write_bytes(b"x")
        pieces.read_ahead(folder / name, 0, 1)
    assert len(pieces._checksums) <= 2
