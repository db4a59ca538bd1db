"""What a plan may ask of a hospital beyond training: its own batch normalisation, shorter updates, a comparison."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyebright_client.app.comparison import FILE_NAME, compared
from eyebright_common.errors import FederationError
from eyebright_common.exchange import BeatsOwn, batch_norm_names, is_running_statistic
from eyebright_common.plan import Plan
from eyebright_common.signed_plan import PlanSigner
from eyebright_server.federation import FederationResult, run_federation
from eyebright_server.federation.checkpoint import weights_digest
from tiny_federation import tiny_initial, tiny_plan, tiny_site


def sites(folder: Path, plan: Plan) -> list[Path]:
    return [tiny_site(folder / f"site-{i}", i, plan, rows=8 + 4 * i) for i in range(2)]


def run(folder: Path, plan: Plan, hospitals: list[Path] | None = None, **options: Any) -> FederationResult:
    return run_federation(
        plan=plan,
        initial=tiny_initial(plan),
        sites=hospitals or sites(folder, plan),
        checkpoint=folder / "rounds",
        **options,
    )


def allow(site: Path, **changes: object) -> None:
    policy = json.loads((site / "policy.json").read_text())
    (site / "policy.json").write_text(json.dumps({**policy, **changes}))


@pytest.mark.slow
@pytest.mark.parametrize(("how", "part"), [("fp16", 0.55), ("int8", 0.32)])
def test_shorter_updates_cost_fewer_bytes_and_end_near_the_same_student(tmp_path: Path, how: str, part: float) -> None:
    whole = run(tmp_path / "whole", tiny_plan())
    short = run(tmp_path / "short", tiny_plan(compression=how))
    assert short.rounds[1].bytes_up < part * whole.rounds[1].bytes_up
    assert short.rounds[1].bytes_saved > (1 - part) * whole.rounds[1].bytes_up
    moved = sum(float(np.abs(whole.final_weights[n] - a).sum()) for n, a in tiny_initial(tiny_plan()).items())
    apart = sum(float(np.abs(whole.final_weights[n] - a).sum()) for n, a in short.final_weights.items())
    assert apart < 0.25 * moved, "training amplifies what rounding left out; it does not lose its way"


@pytest.mark.slow
def test_a_hospital_that_keeps_its_batch_normalisation_has_one_of_its_own(tmp_path: Path) -> None:
    plan = tiny_plan(batch_norm="local")
    hospitals = sites(tmp_path, plan)
    run(tmp_path, plan, hospitals)
    kept = [next((site / "plans").glob("*/normalisation-0002.safetensors")).read_bytes() for site in hospitals]
    assert kept[0] != kept[1]


@pytest.mark.slow
def test_re_estimated_statistics_are_those_of_the_averaged_student(tmp_path: Path) -> None:
    average = run(tmp_path / "a", tiny_plan(rounds=1))
    measured = run(tmp_path / "b", tiny_plan(rounds=1, batch_norm="re-estimate"))
    statistics = [name for name in average.final_weights if is_running_statistic(name)]
    for name, array in average.final_weights.items():
        if name not in statistics:
            np.testing.assert_array_equal(measured.final_weights[name], array)
    assert any((measured.final_weights[n] != average.final_weights[n]).any() for n in statistics)
    assert all((measured.final_weights[n] >= 0).all() for n in statistics if n.endswith("running_var"))


@pytest.mark.slow
def test_frozen_statistics_are_those_the_run_began_with_whatever_hospitals_send(tmp_path: Path) -> None:
    plan = tiny_plan(batch_norm="frozen", aggregation="fedyogi")
    frozen, average = run(tmp_path / "a", plan), run(tmp_path / "b", tiny_plan(aggregation="fedyogi"))
    began = tiny_initial(plan)
    statistics = [name for name in began if is_running_statistic(name)]
    assert all(np.array_equal(frozen.final_weights[name], began[name]) for name in statistics)
    assert any(not np.array_equal(average.final_weights[name], began[name]) for name in statistics)
    assert any(not np.array_equal(frozen.final_weights[name], began[name]) for name in began if "weight" in name)


@pytest.mark.slow
def test_a_word_of_the_comparison_leaves_only_where_the_policy_says_so(tmp_path: Path) -> None:
    plan = tiny_plan(rounds=1, compare_own=True)
    hospitals = sites(tmp_path, plan)
    allow(hospitals[1], fields=["losses", "counts", "comparison"])
    (record,) = run(tmp_path, plan, hospitals).rounds
    assert set(record.beats_own) == {1}
    for site in hospitals:
        (line,) = [json.loads(line) for line in (site / FILE_NAME).read_text().splitlines()]
        assert line["federated_beats_own"] in {"yes", "no", "unknown"}
    assert record.beats_own[1] == line["federated_beats_own"]


@pytest.mark.slow
def test_a_comparison_of_the_students_own_training_changes_nothing_else(tmp_path: Path) -> None:
    plain, comparing = tiny_plan(rounds=1), tiny_plan(rounds=1, compare_own=True)
    one, other = run(tmp_path / "a", plain), run(tmp_path / "b", comparing)
    assert weights_digest(one.final_weights) == weights_digest(other.final_weights)


@pytest.mark.parametrize(
    ("federated", "own", "expected"),
    [
        ([0] * 10 + [1] * 10, [0] * 10 + [0] * 10, BeatsOwn.YES),
        ([0] * 20, [0] * 10 + [1] * 10, BeatsOwn.NO),
        ([0] * 10 + [1] * 9 + [0], [0] * 10 + [1] * 10, BeatsOwn.UNKNOWN),
        ([0] * 20, [1] * 20, BeatsOwn.UNKNOWN),
    ],
)
def test_a_difference_of_one_picture_is_none(federated: list[int], own: list[int], expected: BeatsOwn) -> None:
    labels = np.array([0] * 10 + [1] * 10)
    assert compared(np.array(federated), np.array(own), labels) is expected


def test_too_few_pictures_of_a_class_say_nothing() -> None:
    labels = np.array([0] * 10 + [1] * 4)
    assert compared(labels, 1 - labels, labels) is BeatsOwn.UNKNOWN


def test_a_hospital_that_wants_signed_plans_takes_part_in_a_signed_one(tmp_path: Path) -> None:
    plan, signer = tiny_plan(rounds=1), PlanSigner.open_or_make(tmp_path / "plan.pem")
    hospitals = sites(tmp_path, plan)
    allow(hospitals[0], require_signed_plans=True, operator_keys=[signer.public])
    (record,) = run(tmp_path, plan, hospitals, signature=signer.sign(plan)).rounds
    assert record.accepted == (0, 1)


def test_a_hospital_that_wants_signed_plans_refuses_any_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(60)
    plan, signer = tiny_plan(rounds=1), PlanSigner.open_or_make(tmp_path / "plan.pem")
    hospitals = sites(tmp_path, plan)
    for site in hospitals:
        allow(site, require_signed_plans=True, operator_keys=[signer.public])
    with pytest.raises(FederationError, match="hospital 1: plan_refused"):
        run(tmp_path, plan, hospitals, signature=signer.sign(tiny_plan(rounds=2)))
    assert not (hospitals[0] / "asked").exists(), "what nobody known has signed is not even kept"


def test_scale_shift_and_statistics_belong_to_batch_normalisation() -> None:
    names = ["a.weight", "a.bias", "a.running_mean", "a.running_var", "conv.weight", "fc.bias"]
    assert batch_norm_names(names) == set(names[:4])
