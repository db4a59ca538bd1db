"""Arrays travel as one run of bytes and come back as they were."""

import json

import numpy as np
import pytest

from eyebright_common.errors import InputError
from eyebright_common.packing import PACKED, MessagePacker, pack_arrays, unpack_arrays

ARRAYS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.array([1.5, -2.0], dtype=np.float16),
    "count": np.array(7, dtype=np.int64),
    "bytes": np.array([], dtype=np.uint8),
    "flags": np.array([True, False]),
    "big": np.array([1, 2], dtype=">i4"),
    "turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
}


def packed(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_arrays_come_back_with_names_order_types_shapes_and_bits() -> None:
    back = unpack_arrays(pack_arrays(ARRAYS))
    assert list(back) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype.newbyteorder("<")
        assert back[name].flags.writeable


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xff" * 8,
        b"\xff" * 40,
        packed({"a": 1}),
        packed([["a", "<f4", [2]]], b"1234"),
        packed([["a", "<f4", [1]]], b"12345"),
        packed([["a", "<f4", [-1]]], b"1234"),
        packed([["a", "<f4", [True]]], b"1234"),
        packed([["a", "<f4", [10**30, 0, 10**30]]], b"1234"),
        packed([["a", "<f4", [10**18]]], b"1234"),
        packed([["a", "|O", [1]]], b"12345678"),
        packed([["a", "<U1", [1]]], b"1234"),
        packed([["a", "nonsense", [1]]], b"1234"),
        packed([["a", "<f4", [1]], ["a", "<f4", [1]]], b"12345678"),
        packed([["a", "<f4"]], b"1234"),
    ],
)
def test_bytes_that_are_not_packed_arrays_are_refused(hostile: bytes) -> None:
    with pytest.raises(InputError, match="packed arrays"):
        unpack_arrays(hostile)


def test_every_cut_is_noticed() -> None:
    whole = pack_arrays({"a": np.arange(3, dtype=np.int16)})
    for length in range(len(whole)):
        with pytest.raises(InputError, match="packed arrays"):
            unpack_arrays(whole[:length])


def test_a_message_s_arrays_travel_as_one_and_come_back_record_by_record() -> None:
    from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

    packer = MessagePacker(array=Array, array_record=ArrayRecord, content=RecordDict)
    student = {"weight": np.arange(6, dtype=np.float32), "mean": np.array([1.5], dtype=np.float64)}
    content = RecordDict(
        {
            "arrays": ArrayRecord({name: Array(array) for name, array in student.items()}),
            "none": ArrayRecord(),
            "config": ConfigRecord({"round": 1}),
        }
    )
    travelling = packer.packed(content)
    assert list(travelling["arrays"]) == [PACKED]
    back = packer.unpacked(travelling)
    assert {name: array.numpy().tolist() for name, array in back["arrays"].items()} == {
        name: array.tolist() for name, array in student.items()
    }
    assert dict(back["config"]) == {"round": 1}
    assert list(packer.unpacked(content)["arrays"]) == list(student), "what was not packed is left as it is"
