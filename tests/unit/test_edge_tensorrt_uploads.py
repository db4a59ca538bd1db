"""What a builder uploads with an engine, and who is a twin: strict, bounded, and held against the release."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.errors import ReleaseError, TargetRejected
from eyebright_common.release import MODEL_FILE
from eyebright_common.release.engines import (
    LARGEST_ENGINE_BYTES,
    LONGEST_UPLOAD_BYTES,
    UNKNOWN,
    EngineKey,
    EngineProof,
    EngineUpload,
    Fingerprint,
    check_engine_upload,
    parse_engine_upload,
)
from eyebright_common.release.schema import Release
from fake_tensorrt_board import NANO, add_half
from tiny_release import write_tiny_release

ENGINE = b"an engine"


@pytest.fixture
def release(tmp_path: Path) -> Release:
    write_tiny_release(tmp_path / "release")
    (tmp_path / "engine").write_bytes(ENGINE)
    return add_half(tmp_path / "release")


def upload(release: Release, **changes: Any) -> EngineUpload:
    from hashlib import sha256

    fields: dict[str, Any] = {
        "builder": "builder-1",
        "task": release.task,
        "version": release.version,
        "key": key(release),
        "sha256": sha256(ENGINE).hexdigest(),
        "size_bytes": len(ENGINE),
        "build_seconds": 612.5,
        "proof": EngineProof(cases=3, max_abs_logit_difference=0.004, tolerance=0.05, decision_flips=0),
        "golden_logits": ((4.0, 0.0, 0.0, 0.0),) * 3,
    }
    return EngineUpload(**{**fields, **changes})


def key(release: Release, **changes: Any) -> EngineKey:
    fields: dict[str, Any] = {
        "model_sha256": release.artefact(MODEL_FILE).sha256,
        "fingerprint": NANO,
        "precision": "fp16",
        "input_shape": (1, 3, 64, 64),
        "adapter": 1,
    }
    return EngineKey(**{**fields, **changes})


def test_a_good_upload_is_read_back_and_accepted(tmp_path: Path, release: Release) -> None:
    sent = upload(release)
    read = parse_engine_upload(sent.to_json())
    assert read == sent
    check_engine_upload(read, tmp_path / "engine", release)


@pytest.mark.parametrize("field", sorted(Fingerprint.model_fields))
def test_any_difference_is_another_machine_and_another_key(release: Release, field: str) -> None:
    other = NANO.model_copy(
        update={field: "7.2" if field == "compute_capability" else 12060 if field == "cuda" else "x"}
    )
    assert NANO.differences(other) == (field,)
    assert not NANO.is_twin(other)
    assert not other.is_twin(NANO)
    assert key(release).digest != key(release, fingerprint=other).digest


@pytest.mark.parametrize("field", ["machine", "board", "gpu", "compute_capability", "tensorrt"])
def test_a_machine_that_does_not_know_itself_has_no_twin(field: str) -> None:
    unsure = NANO.model_copy(update={field: UNKNOWN})
    assert not unsure.is_twin(unsure)
    assert NANO.is_twin(NANO)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp32"},
        {"model_sha256": "0" * 64},
        {"input_shape": (1, 3, 32, 32)},
        {"flags": ("refit",)},
        {"adapter": 2},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_any_change_of_how_it_is_built_is_another_key(release: Release, changes: dict[str, Any]) -> None:
    assert key(release).digest != key(release, **changes).digest
    assert key(release).digest == key(release).digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "2"}, "another release"),
        ({"task": "oct-dme"}, "another release"),
        ({"sha256": "0" * 64}, "SHA-256 differs"),
        ({"size_bytes": 4}, "described length"),
    ],
    ids=["version", "task", "digest", "length"],
)
def test_an_upload_that_is_not_what_it_says_is_refused(
    tmp_path: Path, release: Release, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises((ReleaseError, TargetRejected), match=said):
        check_engine_upload(upload(release, **changes), tmp_path / "engine", release)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_sha256": "0" * 64}, "another network"),
        ({"input_shape": (1, 3, 32, 32)}, "another picture"),
    ],
    ids=["network", "shape"],
)
def test_an_engine_of_another_network_is_refused(
    tmp_path: Path, release: Release, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ReleaseError, match=said):
        check_engine_upload(upload(release, key=key(release, **changes)), tmp_path / "engine", release)


def test_a_builder_cannot_choose_its_own_tolerance(tmp_path: Path, release: Release) -> None:
    wide = EngineProof(cases=3, max_abs_logit_difference=2.0, tolerance=4.0, decision_flips=0)
    with pytest.raises(ReleaseError, match="wider tolerance"):
        check_engine_upload(upload(release, proof=wide), tmp_path / "engine", release)


def test_nor_in_full_precision(tmp_path: Path, release: Release) -> None:
    wide = EngineProof(cases=3, max_abs_logit_difference=2.0, tolerance=4.0, decision_flips=0)
    full = upload(release, proof=wide, key=key(release, precision="fp32"))
    with pytest.raises(ReleaseError, match="wider tolerance"):
        check_engine_upload(full, tmp_path / "engine", release)


def test_a_link_is_no_engine(tmp_path: Path, release: Release) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "engine")
    with pytest.raises(TargetRejected):
        check_engine_upload(upload(release), tmp_path / "link", release)


@pytest.mark.parametrize(
    "change",
    [
        {"file": "/etc/passwd"},
        {"size_bytes": LARGEST_ENGINE_BYTES + 1},
        {"size_bytes": "9"},
        {"sha256": "../../x"},
        {"builder": "Dr. X"},
        {"proof": {"cases": 3, "max_abs_logit_difference": 0.2, "tolerance": 0.1, "decision_flips": 0}},
        {"proof": {"cases": 3, "max_abs_logit_difference": 0.0, "tolerance": 0.1, "decision_flips": 1}},
        {"schema": "eyebright.engine/2"},
    ],
    ids=["unknown field", "too large", "no number", "path", "name", "failed proof", "flips", "schema"],
)
def test_a_description_that_breaks_a_rule_is_refused(release: Release, change: dict[str, Any]) -> None:
    content = {**json.loads(upload(release).to_json()), **change}
    with pytest.raises(ReleaseError, match="breaks its schema") as caught:
        parse_engine_upload(json.dumps(content).encode())
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=300))
def test_other_bytes_are_an_error_of_one_line(content: bytes) -> None:
    with pytest.raises(ReleaseError):
        parse_engine_upload(content)


def test_a_description_without_end_is_not_read() -> None:
    with pytest.raises(ReleaseError, match="too long"):
        parse_engine_upload(b" " * (LONGEST_UPLOAD_BYTES + 1))
