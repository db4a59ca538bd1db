"""A release that was built elsewhere is published from its folder: the desk's list and words are about that release."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import run_command
from eyebright_common.release import RELEASE_FILE, GateReport, GateRule, describe_artefact
from eyebright_common.release.gate_report import GATE_FILE, PolicyInForce
from eyebright_server.distribution import OperatorFolder
from tiny_release import write_tiny_release

PASSED = GateReport.of(
    (GateRule(name="parity", value=1e-6, limit=1e-3, verdict="pass"),),
    policy=PolicyInForce(version=1, profile="rehearsal", sha256="a" * 64),
)


@pytest.fixture
def operator(tmp_path: Path) -> Path:
    OperatorFolder.create(tmp_path / "operator").close()
    return tmp_path / "operator"


def judged(folder: Path, *, version: str) -> Path:
    release = write_tiny_release(folder, version=version)
    (folder / GATE_FILE).write_bytes(PASSED.to_json())
    listed = (*release.artefacts, describe_artefact(folder / GATE_FILE))
    (folder / RELEASE_FILE).write_bytes(release.model_copy(update={"artefacts": listed}).to_json())
    return folder


def test_its_own_gate_report_is_listed_and_its_ring_is_said_again(operator: Path, tmp_path: Path, capsys) -> None:
    release = judged(tmp_path / "r1", version="1")
    code, said, _ = run_command(capsys, "server", "release", "publish", operator, release, "--staged")
    assert code == 0
    assert "Ring shadow is open." in said
    code, said, _ = run_command(capsys, "server", "release", "publish", operator, release)
    assert code == 0
    assert "was published already" in said
    assert "Ring shadow is open." in said  # publishing again does not give it to everybody, and does not look so
    _, listed, _ = run_command(capsys, "server", "release", "list", operator, "--json")
    (row,) = json.loads(listed)["releases"]
    assert (row["state"], row["gate"]) == ("published", "passed (rehearsal)")


def test_another_release_waits_for_the_rollout_and_says_what_to_do(operator: Path, tmp_path: Path, capsys) -> None:
    first, second = (judged(tmp_path / version, version=version) for version in ("1", "2"))
    run_command(capsys, "server", "release", "publish", operator, first, "--staged")
    code, _, said = run_command(capsys, "server", "release", "publish", operator, second)
    assert code == 5
    assert "a rollout of this task has not ended: release 1. Promote it to its end, or roll back." in said
