"""What release.json may say."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from eyebright_common.errors import ReleaseError
from eyebright_common.release import Artefact, next_version, parse_release
from release_folders import threshold, write_release


def changed(tmp_path: Path, **changes: object) -> bytes:
    content = json.loads(write_release(tmp_path).to_json())
    return json.dumps({**content, **changes}).encode()


def test_a_release_reads_back_as_it_was_written(tmp_path: Path) -> None:
    release = write_release(tmp_path)
    assert parse_release(release.to_json()) == release


def test_another_schema_version_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"eyebright\.release/2.*eyebright\.release/1"):
        parse_release(changed(tmp_path, schema="eyebright.release/2"))


@pytest.mark.parametrize("data", [b"", b"not json", b"[]", b"{}", b"null", b"\xff\xfe"])
def test_what_is_not_a_release_file_is_refused(data: bytes) -> None:
    with pytest.raises(ReleaseError):
        parse_release(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("surprise", 1),
        ("version", "01"),
        ("version", "1.0"),
        ("version", 1),
        ("version", "0"),
        ("temperature", 0.0),
        ("temperature", "1.0"),
        ("classes", ["dme", "dme"]),
        ("referable", ["glaucoma"]),
        ("referable", ["no_dme", "dme"]),
        ("referable", []),
        ("thresholds", []),
        ("artefacts", []),
        ("modality", "MRI"),
        ("task", "../oct"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(ReleaseError, match=r"breaks its schema") as caught:
        parse_release(changed(tmp_path, **{field: value}))
    assert field in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    content = json.loads(write_release(tmp_path).to_json())
    del content["lineage"]
    with pytest.raises(ReleaseError, match="lineage"):
        parse_release(json.dumps(content).encode())


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/b", "a\\b", ".", "..", ".hidden", "", "x..y", "release.json", "RELEASE.json", "a\n"],
)
def test_an_artefact_is_a_plain_file_name(name: str) -> None:
    with pytest.raises(ValidationError):
        Artefact(name=name, sha256="0" * 64, size_bytes=1)


def test_two_artefacts_may_not_differ_in_case_alone(tmp_path: Path) -> None:
    content = json.loads(write_release(tmp_path).to_json())
    twin = {**content["artefacts"][0], "name": "MODEL.onnx"}
    with pytest.raises(ReleaseError, match="more than once"):
        parse_release(json.dumps({**content, "artefacts": [*content["artefacts"], twin]}).encode())


def test_the_referral_threshold_is_found_among_others(tmp_path: Path) -> None:
    other = threshold(0.9).model_copy(update={"purpose": "urgent"})
    release = write_release(tmp_path, thresholds=(other, threshold(0.4)))
    assert release.threshold.value == 0.4


def test_asking_for_an_artefact_it_does_not_list_names_those_it_does(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"model\.int8\.onnx.*golden\.npz"):
        write_release(tmp_path).artefact("model.int8.onnx")


def test_versions_count_up_from_one() -> None:
    assert [next_version(None), next_version("1"), next_version("9")] == ["1", "2", "10"]
