"""Whatever arrives from outside, the answer is one clear error of ours, never a traceback and never belief."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface

from eyebright_common.errors import EyebrightError, InvitationError, TrustError
from eyebright_common.trust import (
    FolderFetcher,
    Invitation,
    UpdateClient,
    load_certificate,
    read_identity,
    releases_among,
    requested_key,
    split_url,
)
from eyebright_common.trust.keys import parse_private_key
from eyebright_common.wire import read_report
from eyebright_common.wire.methods import METHODS
from signed_network import MODEL, new_repository, write_release

T = TypeVar("T")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    repository = new_repository(folder)
    repository.publish(write_release(folder / "r1"))
    return repository.folder


def outcome(call: Callable[[], T]) -> tuple[T | None, EyebrightError | None]:
    """Return what a call gives, or the error of ours with which it refuses; any other error is a failed test."""
    try:
        return call(), None
    except EyebrightError as error:
        return None, error


class Altered(FetcherInterface):
    """Serves a repository with one file replaced."""

    def __init__(self, repository: Path, name: str, data: bytes) -> None:
        self._honest, self._name, self._data = FolderFetcher(repository), name, data

    def _fetch(self, url: str) -> Iterator[bytes]:
        if split_url(url)[1] == self._name:
            return iter([self._data])
        return self._honest._fetch(url)


def tried(served: Path, state: Path, name: str, data: bytes) -> bool:
    """Whether a client takes a release after one file was replaced; anything but one of our errors is a failure."""
    root = (served / "metadata" / "1.root.json").read_bytes()
    client = UpdateClient(state, Altered(served, name, data), root)
    folder, error = outcome(lambda: client.download_release("fundus", "1", state / "slot"))
    if folder is None:
        assert error is not None
        assert error.what
        assert "\n" not in error.what
        return False
    assert (folder / "model.onnx").read_bytes() == MODEL
    return True


METADATA = ["2.root.json", "timestamp.json", "2.snapshot.json", "1.targets.json", "2.students.json"]


@SLOW
@given(name=st.sampled_from(METADATA), data=st.binary(max_size=300))
def test_any_bytes_in_place_of_metadata_are_refused(served, tmp_path_factory, name, data):
    assert not tried(served, tmp_path_factory.mktemp("u"), name, data)


@SLOW
@given(name=st.sampled_from(METADATA), value=json_values)
def test_any_json_in_place_of_metadata_is_refused(served, tmp_path_factory, name, value):
    assert not tried(served, tmp_path_factory.mktemp("u"), name, json.dumps(value).encode())


def paths_in(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here] if here else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += paths_in(inner, (*here, key))
    return found


@SLOW
@given(name=st.sampled_from(METADATA[1:]), data=st.data())
def test_metadata_with_one_value_replaced_is_refused_or_says_the_same(served, tmp_path_factory, name, data):
    content = json.loads((served / "metadata" / name).read_bytes())
    path = data.draw(st.sampled_from(paths_in(content)))
    at = content
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = data.draw(json_values)
    tried(served, tmp_path_factory.mktemp("u"), name, json.dumps(content).encode())


@SLOW
@given(name=st.sampled_from(METADATA[1:]), data=st.data())
def test_metadata_with_bytes_cut_doubled_or_moved_is_refused_or_says_the_same(served, tmp_path_factory, name, data):
    good = (served / "metadata" / name).read_bytes()
    a, b = sorted((data.draw(st.integers(0, len(good))), data.draw(st.integers(0, len(good)))))
    changed = data.draw(st.sampled_from([good[:a], good[:a] + good[b:], good[:b] + good[a:], good[b:] + good[:b]]))
    tried(served, tmp_path_factory.mktemp("u"), name, changed)


@given(note=json_values, name=st.sampled_from(["releases/fundus/1/release.json", "releases/x/release.json"]))
def test_any_signed_description_is_read_or_refused_in_words(note, name):
    target = TargetFile.from_data(name, b"{}", ["sha256"])
    target.unrecognized_fields["custom"] = note
    releases, error = outcome(lambda: releases_among([target]))
    assert releases == () or (isinstance(error, TrustError) and error.fix)


@given(task=st.text(max_size=8), version=st.text(max_size=4), files=st.lists(st.text(max_size=8), max_size=4))
def test_a_signed_description_never_names_a_path(task, version, files):
    name = f"releases/{task}/{version}/release.json"
    target = TargetFile.from_data("releases/fundus/1/release.json", b"{}", ["sha256"])
    target.path = name
    target.unrecognized_fields["custom"] = {
        "release": {"task": task, "version": version, "files": [*files, "release.json"]}
    }
    others = [TargetFile.from_data(f"releases/{task}/{version}/{file}", b"x", ["sha256"]) for file in files if file]
    releases, error = outcome(lambda: releases_among([target, *others]))
    assert releases is not None or (isinstance(error, TrustError) and error.fix)
    for release in releases or ():
        assert all(Path(file).name == file and file not in {"", ".", ".."} for file in release.files)


@given(method=st.sampled_from(METHODS), data=st.binary(max_size=400))
def test_any_bytes_are_a_message_or_a_decoding_error(method, data):
    for kind in (method.request, method.reply):
        with suppress(DecodeError):
            assert isinstance(kind.FromString(data), kind)


@given(st.text(max_size=400) | json_values.map(json.dumps))
def test_any_report_is_read_or_refused_without_quoting_it(text):
    status, error = outcome(lambda: read_report(text))
    assert status is not None or "wrong fields" in str(error) or "too long" in str(error)


@given(st.binary(max_size=400))
def test_any_bytes_in_place_of_certificates_and_keys_are_refused(data):
    for reader in (load_certificate, read_identity, requested_key, lambda pem: parse_private_key(pem, named="a key")):
        for text in (data, b"-----BEGIN CERTIFICATE-----\n" + data + b"\n-----END CERTIFICATE-----\n"):
            with pytest.raises(TrustError):
                reader(text)


@given(value=json_values)
def test_any_document_packed_as_an_invitation_is_refused_in_words(value):
    packed = base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode().rstrip("=")
    with pytest.raises(InvitationError) as refused:
        Invitation.decode(f"eyebright1.{packed}.{hashlib.sha256(packed.encode()).hexdigest()[:8]}")
    assert refused.value.fix
