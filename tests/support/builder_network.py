"""Builders for tests: a running operator with a tiny real release, and engines described without any TensorRT."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eyebright_common.release import MODEL_FILE, GoldenCases, Release, load_golden
from eyebright_common.release.engines import EngineKey, EngineProof, EngineUpload
from eyebright_common.trust import Role, UnitIdentity
from eyebright_common.wire import DistributionClient, enrol
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from fake_tensorrt_board import NANO
from served_network import IMPATIENT, Network
from tiny_release import write_tiny_release

ENGINE = bytes(range(256)) * 4 * 700  # 700 KiB: three pieces on the wire


@contextmanager
def running_operator(folder: Path) -> Iterator[Network]:
    """Make an operator with one published tiny release (``folder/release``) and serve it."""
    write_tiny_release(folder / "release")
    with OperatorFolder.create(folder / "operator") as operator:
        operator.repository.publish(folder / "release")
        with serve_in_thread(operator) as addresses:
            yield Network(operator=operator, addresses=addresses, folder=folder)


def enrolled(network: Network, name: str, role: Role) -> UnitIdentity:
    """Enrol a participant of any role."""
    invitation = network.operator.invite(name, role=role, addresses=network.addresses)
    return enrol(invitation, network.folder / name, patience=IMPATIENT)


@contextmanager
def calling(identity: UnitIdentity) -> Iterator[DistributionClient]:
    """Open a participant's connection."""
    with DistributionClient.connect(identity, patience=IMPATIENT) as client:
        yield client


def described(folder: Path, release: Release, *, engine: bytes = ENGINE, **changes: Any) -> EngineUpload:
    """Return what an honest builder would say of ``engine``, with changes."""
    golden: GoldenCases = load_golden(folder / "golden.npz")
    fields: dict[str, Any] = {
        "builder": "builder-1",
        "task": release.task,
        "version": release.version,
        "key": key(release),
        "sha256": hashlib.sha256(engine).hexdigest(),
        "size_bytes": len(engine),
        "build_seconds": 612.5,
        "proof": EngineProof(
            cases=len(golden.logits), max_abs_logit_difference=0.004, tolerance=0.01, decision_flips=0
        ),
        "golden_logits": tuple(tuple(float(value) for value in row) for row in golden.logits),
    }
    return EngineUpload(**{**fields, **changes})


def key(release: Release, **changes: Any) -> EngineKey:
    """Return the key of an engine for a Jetson Nano."""
    fields: dict[str, Any] = {
        "model_sha256": release.artefact(MODEL_FILE).sha256,
        "fingerprint": NANO,
        "precision": "fp32",
        "input_shape": (1, 3, 64, 64),
        "adapter": 1,
    }
    return EngineKey(**{**fields, **changes})
