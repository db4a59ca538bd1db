"""Bytes from outside are read or refused; nothing else happens."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eyebright_common.errors import ReleaseError
from eyebright_common.release import Release, load_golden, parse_release, save_golden
from release_folders import golden_cases, write_release

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
reused_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_release_error(data: bytes) -> None:
    with pytest.raises(ReleaseError):
        parse_release(data)


@reused_folder
@given(st.data())
def test_a_description_with_one_field_replaced_is_read_or_refused(tmp_path: Path, data) -> None:
    content = json.loads(write_release(tmp_path).to_json())
    content[data.draw(st.sampled_from(sorted(content)))] = data.draw(values)
    try:
        release = parse_release(json.dumps(content).encode())
    except ReleaseError:
        return
    assert isinstance(release, Release)
    assert parse_release(release.to_json()) == release


@reused_folder
@given(st.data())
def test_golden_cases_with_one_byte_changed_are_read_or_refused(tmp_path: Path, data) -> None:
    path = tmp_path / "golden.npz"
    save_golden(path, golden_cases())
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        golden = load_golden(path)
    except ReleaseError:
        return
    assert len(golden.inputs) == len(golden.logits) == len(golden.must_refer)
