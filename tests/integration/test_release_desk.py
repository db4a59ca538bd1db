"""`eyebright server release` as an operator types it, on rounds as the round engine leaves them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from command_line import exit_code, run_command
from eyebright_common.exchange import is_counter
from eyebright_common.imaging import PREPROCESSING_ID, Quality
from eyebright_common.plan import Plan
from eyebright_common.release import read_gate, read_release
from eyebright_common.tasks import get_task
from eyebright_learning.evaluation.counts import EvaluationCounts
from eyebright_learning.models import build_student
from eyebright_server.distribution import OperatorFolder
from eyebright_server.federation.checkpoint import Checkpoint, RunState, weights_digest
from eyebright_server.federation.records import RoundRecord
from signed_network import folder_client

TASK = get_task("oct-dme")
SIZE = 64


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    return run_command(capsys, "server", "release", *arguments)


@pytest.fixture(autouse=True)
def drawings_are_gradable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the quality gate thinks of drawings is not the matter here; a dark one is ungradable."""

    def verdict(image, *, modality, field):
        if image.mean() < 5:
            return Quality(verdict="reject", score=0.0, reasons=("too_dark",))
        return Quality(verdict="good", score=1.0)

    monkeypatch.setattr("eyebright_common.manifest.loading.assess_quality", verdict)


def finished_run(folder: Path, *, seed: int = 0) -> Path:
    """A run's folder as the round engine leaves it after one round of two hospitals."""
    plan = Plan.checked(
        task=TASK.name,
        classes=TASK.classes,
        student="mobilenet_v2",
        image_size=SIZE,
        preprocessing=PREPROCESSING_ID,
        rounds=1,
        local_epochs=1,
        batch_size=8,
        learning_rate=0.1,
        weight_decay=0.0,
        views=1,
        recipe={"ce": 1.0, "kd": 0.0, "dist": 0.0},
        teacher_sha256=None,
        teacher_arch=None,
        seed=seed,
        precision="fp32",
    )
    student = build_student("mobilenet_v2", classes=len(TASK.classes), seed=seed)
    weights = {name: t.numpy() for name, t in student.state_dict().items() if not is_counter(name)}
    generator = np.random.default_rng(seed)
    counts = {}
    for site in (0, 1):
        p = generator.dirichlet([1.0, 1.0], size=40)
        labels = (generator.random(40) < p[:, 1]).astype(int)
        counts[site] = EvaluationCounts.of(p, labels, task=TASK).to_dict()
    record = RoundRecord(
        round=1,
        participants=(0, 1),
        accepted=(0, 1),
        quarantined=(),
        refused=(),
        evaluated=(0, 1),
        examples={0: 100, 1: 90},
        losses={},
        site_losses={},
        metrics={},
        site_metrics={},
        bytes_up=0,
        bytes_down=0,
        seconds=1.0,
        weights_sha256=weights_digest(weights),
    )
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(plan.canonical_json())
    place = Checkpoint(
        folder=folder / "rounds", plan_digest=plan.digest(), initial_sha256=weights_digest(weights), hospitals=2
    )
    place.save(RunState(records=(record,), weights=weights, best_round=1, best_weights=weights, best_counts=counts))
    return folder


def write_data(folder: Path, *, patients: int = 24, sites: tuple[str, ...] = ("north", "south")) -> Path:
    """Drawn pictures, two per patient; the last patient's are too dark to grade."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(5)
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image_path", "modality", "label", "patient_id", "eye", "site", "sex", "must_refer"])
        for patient in range(patients):
            for eye in "RL":
                name = f"{patient}{eye}.png"
                picture = generator.integers(0, 256, (8, 12), dtype=np.uint8)
                picture = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(str(folder / name), picture if patient < patients - 1 else picture // 255)
                label = TASK.classes[patient % 2]
                table.writerow([name, "OCT", label, f"p{patient}", eye, sites[patient % 4 // 2], "FM"[patient % 2], ""])
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An operator's folder and a finished run in it, made once."""
    folder = tmp_path_factory.mktemp("desk")
    OperatorFolder.create(folder / "operator").close()
    finished_run(folder / "operator" / "rounds" / "spring")
    write_data(folder / "data")
    assert exit_code("server", "release", "build", folder / "operator", "spring") == 0
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "desk")
    return tmp_path / "desk"


def ledger_of(operator: Path) -> list[tuple[str, dict]]:
    with OperatorFolder.open(operator) as opened:
        opened.records.verify_ledger()
        return [(entry.kind, entry.facts) for entry in opened.records.ledger()]


def rehearsed(capsys, place: Path, *more: object) -> tuple[int, str, str]:
    """Let the newest candidate through a rehearsal's gate."""
    return run(capsys, "gate", place / "operator", TASK.name, "--profile", "rehearsal", *more)


@pytest.mark.slow
def test_from_a_run_to_units_and_back(place: Path, tmp_path: Path, capsys) -> None:
    operator = place / "operator"
    code, out, error = rehearsed(capsys, place, "--json")
    assert (code, error.strip()) == (0, "")
    assert json.loads(out)["passed"]
    assert f"{TASK.name} 1 is published" in run(capsys, "publish", operator, f"{TASK.name}/1")[1]
    assert f"{TASK.name} 1 was published already" in run(capsys, "publish", operator, f"{TASK.name}/1")[1]

    assert run(capsys, "build", operator, "spring")[0] == 0
    assert rehearsed(capsys, place)[0] == 0
    rings = "canary:serve:0.5:0,rest:serve:0.5:0"
    code, out, _ = run(capsys, "publish", operator, f"{TASK.name}/2", "--rings", rings)
    assert "Ring canary is open." in out
    assert "(2 of 2) is open" in run(capsys, "promote", operator, TASK.name, "--operator", "E. Kant")[1]
    assert "for every unit" in run(capsys, "promote", operator, TASK.name)[1]
    code, out, _ = run(capsys, "rollback", operator, TASK.name, "--reason", "more referrals than before", "--json")
    assert (code, json.loads(out)["version"], json.loads(out)["again"]) == (0, "3", "1")

    code, out, _ = run(capsys, "export", operator, "--to", tmp_path / "stick", "--json")
    assert json.loads(out)["files"] > 20
    assert not list((tmp_path / "stick").rglob("*.pem"))
    with OperatorFolder.open(operator) as opened:
        opened.repository.folder = tmp_path / "stick"
        client = folder_client(opened.repository, tmp_path / "unit")
        client.refresh()
        folder = client.download_release(TASK.name, "3", tmp_path / "unit" / "release")
    again, first = read_release(folder), read_release(operator / "releases" / TASK.name / "1")
    assert (again.version, again.lineage.parent, again.lineage.again) == ("3", "2", "1")
    assert again.artefact("model.onnx") == first.artefact("model.onnx")
    assert "brought back" in (folder / "card.md").read_text()

    listed = json.loads(run(capsys, "list", operator, "--json")[1])["releases"]
    assert [(row["version"], row["state"]) for row in listed] == [(v, "published") for v in "123"]
    kinds = [kind for kind, _ in ledger_of(operator)]
    assert [kind for kind in kinds if kind.startswith("rollout-")] == [
        "rollout-started",
        "rollout-promoted",
        "rollout-finished",
        "rollout-rolled-back",
    ]


def test_a_release_says_what_it_was_made_from(place: Path, capsys) -> None:
    assert rehearsed(capsys, place)[0] == 0
    folder = place / "operator" / "releases" / TASK.name / "1"
    release = read_release(folder)
    assert (release.lineage.best_round, len(release.lineage.participants), release.lineage.parent) == (1, 2, None)
    assert set(release.metrics.sites) == {"hospital-0", "hospital-1"}
    for name in ("modifications.md", "protocol.md", "impact.md", "monitoring.md", "card.md"):
        text = (folder / name).read_text()
        assert "Research use. Not for diagnosis." in text
        assert f"{TASK.name} release 1" in text or "release 1" in text
    assert "profile `rehearsal`" in (folder / "protocol.md").read_text()
    assert "http" not in (folder / "gate.html").read_text().replace("http-equiv", "")


def test_the_default_profile_blocks_what_was_judged_on_validation_alone(place: Path, capsys) -> None:
    operator = place / "operator"
    code, out, _ = run(capsys, "gate", operator, TASK.name)
    assert code == 1
    assert "The gate blocks it (policy version 2, profile screening)" in out
    assert "held_out" in out
    assert not (operator / "releases").exists()
    assert (operator / "candidates" / TASK.name / "1" / "gate.html").is_file()
    kind, facts = ledger_of(operator)[-1]
    assert kind == "gate-blocked"
    assert "held_out" in facts["blocking"]


def test_looks_at_test_data_are_counted_before_they_are_taken(place: Path, capsys, monkeypatch) -> None:
    operator, data = place / "operator", place / "data" / "manifest.csv"
    gate = ("gate", operator, TASK.name, "--profile", "rehearsal", "--data", data, "--no-audit", "--json")

    def looks(code_out_error: tuple[int, str, str]) -> float:
        rules = json.loads(code_out_error[1])["gate"]["rules"]
        return next(rule["value"] for rule in rules if rule["name"] == "test_looks")

    assert looks(run(capsys, *gate)) == 1.0
    assert looks(run(capsys, *gate)) == 2.0

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eyebright_server.release.looks.measure_data", cut)
    assert run(capsys, *gate)[0] != 0
    assert [kind for kind, _ in ledger_of(operator)].count("test-data-looked") == 3


def test_a_later_verdict_replaces_an_earlier_one_until_the_release_is_published(place: Path, capsys) -> None:
    operator = place / "operator"
    assert rehearsed(capsys, place)[0] == 0
    assert run(capsys, "gate", operator, TASK.name)[0] == 1
    assert not (operator / "releases" / TASK.name / "1").exists()
    assert rehearsed(capsys, place)[0] == 0
    run(capsys, "publish", operator, f"{TASK.name}/1")
    code, _, error = rehearsed(capsys, place)
    assert code == 5
    assert "published and not judged again" in error


def test_counts_of_a_site_are_evidence_and_hold_no_name(place: Path, tmp_path: Path, capsys) -> None:
    operator, data = place / "operator", place / "data" / "manifest.csv"
    candidate, out = operator / "candidates" / TASK.name / "1", tmp_path / "north.json"
    code, text, error = run(capsys, "count", candidate, "--data", data, "--out", out, "--site", "north")
    assert (code, error.strip()) == (0, "")
    assert "24 patients: 12 to be referred, 11 others, 1 ungradable" in text or "1 ungradable" in text
    sent = out.read_text()
    assert not any(word in sent for word in ("p1", ".png", "manifest"))
    _, text, _ = run(capsys, "gate", operator, TASK.name, "--profile", "rehearsal", "--counts", out, "--json")
    (harm,) = [rule for rule in json.loads(text)["gate"]["rules"] if rule["name"] == "held_out"]
    assert harm["value"] == "test"


def test_an_override_is_named_in_gate_card_and_ledger(place: Path, capsys) -> None:
    operator = place / "operator"
    blocked = json.loads(run(capsys, "gate", operator, TASK.name, "--json")[1])["gate"]["rules"]
    names = sorted({rule["name"] for rule in blocked if rule["blocks"]} - {"must_refer"})
    options = [part for name in names for part in ("--override", name)]
    word = ("--operator", "E. Kant", "--reason", "a demonstration without patients")
    code, out, _ = run(capsys, "gate", operator, TASK.name, *options, *word)
    assert code == 1  # no golden case has to be referred, and that rule is never overridden
    assert "must_refer" in out.splitlines()[-2]
    code, _, error = run(capsys, "gate", operator, TASK.name, "--override", "must_refer", *word)
    assert code == 2
    assert "never overridden" in error
    assert ledger_of(operator)[-1][1]["override"]["operator"] == "E. Kant"
    assert read_gate(operator / "candidates" / TASK.name / "1").override.reason == "a demonstration without patients"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "{op}", "nowhere"], "no finished rounds here"),
        (["build", "{op}", "spring", "--min-sensitivity", "2"], "must be in (0, 1]"),
        (["gate", "{op}", "fundus"], "no such candidate: fundus"),
        (["gate", "{op}", "fundus", "--override", "parts"], "needs a name and a reason"),
        (["publish", "{op}", "fundus/7"], "holds no release"),
        (["promote", "{op}", "fundus"], "no rollout of this task"),
        (["rollback", "{op}", "fundus", "--reason", "x"], "no such older release"),
        (["export", "{op}", "--to", "{op}"], "holds something else"),
        (["watch", "{op}", "fundus"], "no rollout of this task"),
        (["status", "{op}", "fundus"], "no rollout of this task"),
        (["sync", "{op}", "fundus"], "no rollout of this task"),
        (["pause", "{op}", "fundus", "--reason", "x"], "no rollout of this task"),
        (["pause", "{op}", "fundus", "--reason", " "], "a reason is missing"),
        (["rollback", "{op}", "fundus", "--reason", ""], "a reason is missing"),
        (["export", "{op}", "--to", "{op}/server.json"], "cannot be exported"),
        (["export", "{op}", "--to", "/proc/nowhere"], "cannot be exported"),
        (["engine", "sign", "{op}"], "not clear which engines are to be signed"),
        (["engine", "sign", "{op}", "abc"], "no engine of this key waits: abc"),
        (["engine", "withdraw", "{op}", "", "--reason", "x"], "no engine of this key is here"),
    ],
)
def test_a_mistake_is_one_clear_line(place: Path, capsys, arguments: list[str], words: str) -> None:
    code, _, error = run(capsys, *(part.format(op=place / "operator") for part in arguments))
    assert code in (1, 2, 5)
    assert words in error
    assert len(error.strip().splitlines()) == 1


def test_a_candidate_whose_file_was_changed_is_not_judged(place: Path, capsys) -> None:
    operator = place / "operator"
    model = operator / "candidates" / TASK.name / "1" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    code, _, error = run(capsys, "gate", operator, TASK.name)
    assert code == 4
    assert "not the one listed" in error


def test_a_release_that_did_not_pass_is_not_published(place: Path, capsys) -> None:
    operator = place / "operator"
    assert rehearsed(capsys, place)[0] == 0
    folder = operator / "releases" / TASK.name / "1"
    gate = folder / "gate.json"
    gate.write_text(gate.read_text().replace('"version": 2', '"version": 3', 1))
    code, _, error = run(capsys, "publish", operator, folder)
    assert code == 4
    assert "not the one listed" in error
