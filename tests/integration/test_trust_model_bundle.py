"""The model-signing bundle of a release, judged by the reference tool, which knows nothing of us."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from eyebright_common.errors import ReleaseError, TrustError
from eyebright_common.trust import BUNDLE_FILE, ModelSigner
from eyebright_server.release.repository import ReleaseRepository
from signed_network import folder_client, new_repository, write_release


@pytest.fixture
def repository(tmp_path: Path) -> ReleaseRepository:
    made = new_repository(tmp_path)
    made.publish(write_release(tmp_path / "r1"))
    return made


@pytest.fixture
def fetched(repository: ReleaseRepository, tmp_path: Path) -> tuple[Path, Path]:
    """What anybody can fetch: the release, and its bundle."""
    client = folder_client(repository, tmp_path / "unit")
    folder = client.download_release("fundus", "1", tmp_path / "slot")
    return folder, client.download_target(f"releases/fundus/1/{BUNDLE_FILE}", tmp_path / "bundle.json")


def reference_tool_accepts(folder: Path, bundle: Path, public: Path) -> bool:
    pytest.importorskip("model_signing", reason="the reference tool is in the development group")
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    done = subprocess.run(
        [*command, "--signature", str(bundle), "--public_key", str(public)], check=False, capture_output=True, text=True
    )
    return done.returncode == 0


def test_the_reference_tool_verifies_a_published_release(fetched, tmp_path):
    assert reference_tool_accepts(*fetched, tmp_path / "keys" / "offline" / "models.pub")


def test_the_reference_tool_refuses_a_changed_file(fetched, tmp_path):
    (fetched[0] / "card.md").write_text("# another card\n")
    assert not reference_tool_accepts(*fetched, tmp_path / "keys" / "offline" / "models.pub")


def test_the_reference_tool_refuses_a_file_more(fetched, tmp_path):
    (fetched[0] / "extra.onnx").write_bytes(b"x")
    assert not reference_tool_accepts(*fetched, tmp_path / "keys" / "offline" / "models.pub")


def test_the_reference_tool_refuses_another_operators_key(fetched, tmp_path):
    ModelSigner(tmp_path / "other").create()
    assert not reference_tool_accepts(*fetched, tmp_path / "other" / "models.pub")


def test_a_bundle_of_a_replaced_key_still_verifies_with_its_public_half(repository, fetched, tmp_path):
    repository.rotate_models_key()
    offline = tmp_path / "keys" / "offline"
    (old,) = offline.glob("models-*.pub")
    assert reference_tool_accepts(*fetched, old)
    assert not reference_tool_accepts(*fetched, offline / "models.pub")


def test_the_envelope_is_signed_as_dsse_says(fetched, tmp_path):
    envelope = json.loads(fetched[1].read_bytes())["dsseEnvelope"]
    public = load_pem_public_key((tmp_path / "keys" / "offline" / "models.pub").read_bytes())
    key = SSlibKey.from_crypto(public, keyid=envelope["signatures"][0]["keyid"])
    read = Envelope.from_dict(envelope)
    read.verify([key], 1)
    read.payload += b" "
    with pytest.raises(VerificationError):
        read.verify([key], 1)


def test_the_statement_names_every_file_in_order_and_no_path(fetched):
    payload = Envelope.from_dict(json.loads(fetched[1].read_bytes())["dsseEnvelope"]).payload
    statement = json.loads(payload)
    assert [r["name"] for r in statement["predicate"]["resources"]] == ["card.md", "model.onnx", "release.json"]
    assert statement["subject"][0]["name"] == "releases/fundus/1"
    assert str(fetched[0]).encode() not in payload


def test_units_do_not_download_the_bundle(fetched):
    assert BUNDLE_FILE not in {path.name for path in fetched[0].iterdir()}


def test_publishing_again_makes_no_second_bundle(repository, tmp_path):
    before = sorted(path.name for path in (repository.folder / "targets").rglob("*"))
    repository.publish(tmp_path / "r1")
    assert sorted(path.name for path in (repository.folder / "targets").rglob("*")) == before


def test_a_release_that_brings_a_bundle_of_its_own_is_refused(repository, tmp_path):
    folder = write_release(tmp_path / "r2", version="2")
    (folder / BUNDLE_FILE).write_text("{}")
    with pytest.raises(ReleaseError, match="model-signing bundle"):
        repository.publish(folder)


def test_without_its_key_nothing_is_published(repository, tmp_path):
    (tmp_path / "keys" / "offline" / "models.pub").unlink()
    with pytest.raises(TrustError, match="model-signing"):
        repository.publish(write_release(tmp_path / "r2", version="2"))
    assert [release.version for release in repository.releases()] == ["1"]
