"""The bytes between the unit and its TensorRT worker: what is read back, what is refused."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_edge.runtime.board.tensorrt_worker.frames import (
    ANSWER,
    LONGEST_HEADER_BYTES,
    LONGEST_PAYLOAD_BYTES,
    PROTOCOL,
    REQUEST,
    Frame,
    FrameError,
    pack_arrays,
    read_frame,
    unpack_arrays,
    write_frame,
)

Words = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20) | st.none(), max_size=4)


def written(header: dict[str, object], payload: bytes = b"", kind: int = REQUEST) -> bytes:
    stream = io.BytesIO()
    write_frame(stream, kind, header, payload)
    return stream.getvalue()


@given(header=Words, payload=st.binary(max_size=200))
def test_a_frame_is_read_as_it_was_written(header: dict[str, object], payload: bytes) -> None:
    stream = io.BytesIO(written(header, payload) + written({"second": 2}, kind=ANSWER))
    assert read_frame(stream) == Frame(REQUEST, header, payload)
    assert read_frame(stream) == Frame(ANSWER, {"second": 2}, b"")
    assert read_frame(stream) is None


@given(st.binary(min_size=1, max_size=200))
def test_bytes_that_are_no_frame_give_an_error_and_nothing_else(content: bytes) -> None:
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(content))


@given(cut=st.integers(min_value=1, max_value=60))
def test_a_cut_frame_is_named_as_such(cut: int) -> None:
    whole = written({"command": "run"}, b"x" * 40)
    with pytest.raises(FrameError, match="cut"):
        read_frame(io.BytesIO(whole[:-cut]))


def test_another_version_is_refused_by_number() -> None:
    other = bytearray(written({}))
    other[5] = PROTOCOL + 1
    with pytest.raises(FrameError, match=f"version {PROTOCOL + 1}, this one version {PROTOCOL}"):
        read_frame(io.BytesIO(bytes(other)))


@pytest.mark.parametrize(
    ("header", "payload"), [(LONGEST_HEADER_BYTES + 1, 0), (0, LONGEST_PAYLOAD_BYTES + 1)], ids=["header", "payload"]
)
def test_a_length_beyond_the_limit_is_refused_before_it_is_read(header: int, payload: int) -> None:
    head = struct.pack(">4sBBIQ", b"EYTW", REQUEST, PROTOCOL, header, payload)
    with pytest.raises(FrameError, match="too long"):
        read_frame(io.BytesIO(head))


def test_what_is_too_long_is_not_written_either() -> None:
    with pytest.raises(FrameError, match="too long"):
        write_frame(io.BytesIO(), REQUEST, {"text": "x" * LONGEST_HEADER_BYTES})


def test_arrays_travel_with_their_shapes() -> None:
    arrays = {"image": np.arange(12, dtype=np.float32).reshape(1, 3, 4), "mask": np.ones((2, 2), np.uint8)}
    described, payload = pack_arrays(arrays)
    found = unpack_arrays(described, payload)
    assert list(found) == ["image", "mask"]
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize(
    "described",
    [
        [{"name": "a", "dtype": "float32", "shape": [3]}],
        [{"name": "a", "dtype": "float32", "shape": [1]}],
        [{"name": "a", "dtype": "object", "shape": [1]}],
        [{"name": "a", "dtype": "float32", "shape": [-2]}],
        [{"name": "a", "shape": [2]}],
        "nothing",
        None,
    ],
    ids=["too few bytes", "too many", "objects", "negative", "no dtype", "text", "none"],
)
def test_a_description_that_does_not_fit_is_refused(described: object) -> None:
    with pytest.raises(FrameError):
        unpack_arrays(described, b"\0" * 8)


def test_only_plain_numbers_are_sent() -> None:
    with pytest.raises(FrameError, match="float64"):
        pack_arrays({"a": np.zeros(2)})
