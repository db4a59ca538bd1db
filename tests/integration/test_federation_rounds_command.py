"""`eyebright server rounds` from the operator's chair."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from command_line import run_command
from eyebright_common.errors import FederationError, InputError
from eyebright_common.release import read_release
from eyebright_learning.models import build_student
from eyebright_server.federation.rules import RoundRules
from eyebright_server.federation.run_folder import RunFolder
from eyebright_server.federation.warm_start import fresh_student, released_student
from eyebright_server.release.export import export_student
from tiny_federation import tiny_plan, tiny_site
from tiny_release import write_tiny_release


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from eyebright_server.distribution import OperatorFolder

    folder = tmp_path_factory.mktemp("operator") / "op"
    OperatorFolder.create(folder).close()
    return folder


def started(operator: Path, folder: Path, capsys: pytest.CaptureFixture[str], name: str, *more: object) -> dict:
    plan = tiny_plan(rounds=2)
    sites = [tiny_site(folder / f"site-{i}", i, plan) for i in range(2)]
    (folder / "plan.json").write_text(plan.canonical_json())
    words = [word for site in sites for word in ("--site", site)]
    code, out, err = run_command(
        capsys, "server", "rounds", "start", operator, name, "--plan", folder / "plan.json", *words, "--json", *more
    )
    assert code == 0, err
    return json.loads(out)


@pytest.mark.slow
def test_a_run_is_started_resumed_and_looked_at(
    operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = started(operator, tmp_path, capsys, "autumn", "--budget", "1")
    assert (first["rounds"], first["ended"]) == (1, "round_budget")
    settings = operator / "rounds" / "autumn" / "run.json"
    told = json.loads(settings.read_text())
    settings.write_text(json.dumps({**told, "rules": {**told["rules"], "round_budget": None}}))
    code, out, _ = run_command(capsys, "server", "rounds", "resume", operator, "autumn", "--json")
    assert code == 0
    assert json.loads(out)["resumed_after"] == 1
    code, out, _ = run_command(capsys, "server", "rounds", "status", operator, "--json")
    facts = json.loads(out)["runs"]["autumn"]
    assert [row["accepted"] for row in facts["rounds"]] == [[0, 1], [0, 1]]
    worst = facts["rounds"][0]["worst"]
    assert worst["balanced_accuracy"] == min(s["balanced_accuracy"] for s in facts["rounds"][0]["sites"].values())
    shown = [cell for table in facts["tables"]["sites"].values() for row in table for cell in row]
    assert all(cell is None or cell == 0 or cell >= 5 for cell in shown)
    code, out, _ = run_command(capsys, "server", "rounds", "status", operator, "autumn")
    assert "2 of 2 rounds" in out
    assert "The ledger verifies" in out
    assert (operator / "rounds" / "autumn" / "student.safetensors").is_file()


def test_settings_that_cannot_be_read_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "server.json").write_text('{"hosts": [')
    code, _, err = run_command(capsys, "server", "rounds", "status", tmp_path)
    assert code == 2
    assert err.count("\n") == 1
    assert f"the server's settings cannot be read: {tmp_path / 'server.json'}" in err


def test_a_hospital_that_is_not_suspended_is_not_lifted(operator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_command(capsys, "server", "rounds", "lift", operator, "3")
    assert code == 2
    assert "not suspended: 3" in err


def test_a_run_of_no_name_is_not_resumed(operator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run_command(capsys, "server", "rounds", "resume", operator, "nothing")
    assert code == 2
    assert "no run of this name: nothing" in err


@pytest.mark.parametrize("name", ["../elsewhere", "", "a/b", ".", "-x y"])
def test_a_path_is_no_name_of_a_run_and_writes_nothing(
    operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "plan.json").write_text(tiny_plan().canonical_json())
    before = sorted(operator.parent.rglob("*"))
    for words in (("start", operator, "--plan", tmp_path / "plan.json", "--site", tmp_path, "--", name),
                  ("resume", operator, "--", name)):  # fmt: skip
        code, _, err = run_command(capsys, "server", "rounds", *words)
        assert code == 2
        assert "cannot be the name of a run" in err
    assert sorted(operator.parent.rglob("*")) == before


@pytest.mark.parametrize("deadline", ["-1", "0", "nan", "inf"])
def test_what_is_no_deadline_is_said_in_one_line(
    operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], deadline: str
) -> None:
    (tmp_path / "plan.json").write_text(tiny_plan().canonical_json())
    words = ("--plan", tmp_path / "plan.json", "--site", tmp_path, f"--deadline-s={deadline}")
    code, _, err = run_command(capsys, "server", "rounds", "start", operator, "never", *words)
    assert code == 2
    assert "this is no deadline" in err
    assert not (operator / "rounds" / "never").exists()


def test_a_run_that_cannot_begin_leaves_its_name_free(
    operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.json").write_text(tiny_plan().canonical_json())
    words = ("--plan", tmp_path / "plan.json", "--site", tmp_path / "nowhere")
    code, _, err = run_command(capsys, "server", "rounds", "start", operator, "early", *words)
    assert code == 2
    assert "a site directory does not exist" in err
    assert not (operator / "rounds" / "early").exists()


def test_one_folder_is_not_two_hospitals(operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.json").write_text(tiny_plan().canonical_json())
    words = ("--plan", tmp_path / "plan.json", "--site", tmp_path, "--site", tmp_path / ".")
    code, _, err = run_command(capsys, "server", "rounds", "start", operator, "twice", *words)
    assert code == 2
    assert "a site is named twice" in err


def test_what_is_no_teacher_is_not_published(
    operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({"weight": np.zeros(3, dtype=np.float32)}, tmp_path / "student.safetensors")
    before = sorted(operator.rglob("*"))
    code, _, err = run_command(capsys, "server", "publish-teacher", operator, tmp_path / "student.safetensors")
    assert code == 2
    assert "this file is not a teacher" in err
    assert sorted(operator.rglob("*")) == before


def test_the_public_key_for_plans_stays_the_same(operator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [run_command(capsys, "server", "rounds", "key", operator)[1].strip() for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(bytes.fromhex(keys[0])) == 32


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A release and the weights behind it: a student of the plan, after what could have been training."""
    folder, plan = tmp_path_factory.mktemp("released"), tiny_plan(seed=99)
    student = build_student(plan.student, classes=2, seed=99).eval()
    graph = export_student(student, image_size=plan.image_size).data
    write_tiny_release(folder / "release", task=plan.task, image_size=plan.image_size, model=graph)
    description = json.loads((folder / "release" / "release.json").read_text())
    description["student"]["arch"] = plan.student
    (folder / "release" / "release.json").write_text(json.dumps(description))
    save_file(fresh_student(plan), folder / "student.safetensors")
    return folder / "release", folder / "student.safetensors"


def test_a_run_begins_with_the_student_of_a_release(released: tuple[Path, Path]) -> None:
    release, weights = released
    golden_is_of_this_graph(release)
    found = released_student(tiny_plan(), release=release, weights=weights)
    expected = fresh_student(tiny_plan(seed=99))
    assert all((found[name] == expected[name]).all() for name in expected)


def test_weights_that_are_not_the_releases_are_refused(released: tuple[Path, Path], tmp_path: Path) -> None:
    release, _ = released
    golden_is_of_this_graph(release)
    other = fresh_student(tiny_plan(seed=99))  # untrained students all say nearly nothing; this one leans
    bias = next(name for name in other if other[name].shape == (2,))
    save_file({**other, bias: other[bias] + np.float32([0.5, 0.0])}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="not those of the release"):
        released_student(tiny_plan(), release=release, weights=tmp_path / "other.safetensors")


def test_a_release_of_another_architecture_is_refused(released: tuple[Path, Path]) -> None:
    release, weights = released
    with pytest.raises(InputError, match="another architecture: mobilenet_v2, the plan trains resnet18"):
        released_student(tiny_plan(student="resnet18"), release=release, weights=weights)


def golden_is_of_this_graph(release: Path) -> None:
    """The tiny release has the golden logits of its tiny graph; give it those of the graph it holds."""
    from dataclasses import replace

    import onnxruntime

    from eyebright_common.release.golden import load_golden, save_golden
    from eyebright_common.release.reading import describe_artefact

    golden = load_golden(release / "golden.npz")
    session = onnxruntime.InferenceSession(release / "model.onnx", providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    logits = np.concatenate([session.run(None, {name: x[None].astype(np.float32)})[0] for x in golden.inputs])
    save_golden(release / "golden.npz", replace(golden, logits=logits))
    described = describe_artefact(release / "golden.npz")
    told = json.loads((release / "release.json").read_text())
    told["artefacts"] = [
        json.loads(described.model_dump_json(by_alias=True)) if a["name"] == "golden.npz" else a
        for a in told["artefacts"]
    ]
    (release / "release.json").write_text(json.dumps(told))
    read_release(release)


def test_rounds_over_the_superlink_need_hospitals_that_have_joined(
    operator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.json").write_text(tiny_plan().canonical_json())
    words = ("server", "rounds", "start", operator, "nobody", "--plan", tmp_path / "plan.json")
    code, _, err = run_command(capsys, *words)
    assert code == 2
    assert "no hospital has joined" in err
    code, _, err = run_command(capsys, *words, "--hospital", "north", "--site", tmp_path)
    assert code == 2
    assert "--site and --hospital do not go together" in err


def test_a_run_that_another_process_runs_is_left_alone(operator: Path, tmp_path: Path) -> None:
    run = RunFolder.create(
        tmp_path / "busy",
        plan=tiny_plan(),
        initial={},
        participants=(0, 1),
        deadline_s=None,
        rules=RoundRules(),
    )
    assert RunFolder.open(tmp_path / "busy").settings.hospitals == 2
    with run.locked(), pytest.raises(FederationError, match="another process runs this run"), run.locked():
        pass
