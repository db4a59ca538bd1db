"""Whose update points against the others': named when it plainly does, and no honest hospital for being different."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import run_command
from driven_rounds import driven
from eyebright_common.plan import Plan
from eyebright_server.distribution import OperatorFolder
from eyebright_server.federation import FederationResult
from eyebright_server.federation.direction import cosines, directions, opposed
from eyebright_server.federation.records import Arrays, Reply
from eyebright_server.federation.rounds import LEDGER
from eyebright_server.federation.rules import RoundRules
from eyebright_server.federation.run_folder import RunFolder, run_named
from eyebright_server.records import Records
from learning_hospitals import LearningHospitals, first_weights
from tiny_federation import tiny_plan
from varied_hospitals import VariedHospitals

BEFORE = {"w": np.zeros(3, dtype=np.float32)}
ROUNDS, SEEDS = 3, range(10)


def turned(mine: Arrays, before: Arrays) -> Arrays:
    """The way back, no longer than the way: nothing that a bar on length would see."""
    return {name: (before[name] - (array - before[name])).astype(np.float32) for name, array in mine.items()}


def replies(*updates: list[float]) -> list[Reply]:
    return [Reply(site=i, arrays={"w": np.array(values, dtype=np.float32)}) for i, values in enumerate(updates)]


def run(people: Any, folder: Path, *, plan: Plan | None = None, **fields: Any) -> FederationResult:
    asked = plan or tiny_plan(**{"rounds": ROUNDS, "aggregation": "fedmedian", **fields})
    folder.mkdir(parents=True, exist_ok=True)
    return driven(people, folder, asked, first=first_weights(), rules=RoundRules(outlier_floor=1e9, outlier_mads=1e9))


def test_cosines_are_those_of_whole_updates() -> None:
    sent = {"a": np.array([1.0, 1.0], dtype=np.float32), "b": np.array([[2.0]], dtype=np.float32)}
    moves = [[1.0, 0.0, 0.0], [0.0, 3.0, 4.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    asked = [
        Reply(site=i, arrays={"b": sent["b"] + np.float32(z), "a": sent["a"] + np.array([x, y], dtype=np.float32)})
        for i, (x, y, z) in enumerate(moves)
    ]
    expected = [[1, 0, -1, 0], [0, 1, 0, 0], [-1, 0, 1, 0], [0, 0, 0, 0]]
    assert cosines(asked, sent) == pytest.approx(np.array(expected, dtype=float))


def test_long_updates_are_compared_by_a_sketch_that_keeps_their_cosines() -> None:
    """More coordinates than buckets: cosines from -1 to 1, right to a few hundredths."""
    generator = np.random.default_rng(3)
    shapes = {"w": (300, 400), "v": (50_000,)}
    sent = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    common = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    asked = []
    for site, share in enumerate((1.0, 0.7, 0.0, -0.7, -1.0)):
        own = {name: share * common[name] + (1 - abs(share)) * generator.normal(size=shapes[name]) for name in shapes}
        asked.append(Reply(site=site, arrays={name: (sent[name] + own[name]).astype(np.float32) for name in shapes}))
    whole = np.stack([np.concatenate([(r.arrays[n] - sent[n]).ravel() for n in sorted(shapes)]) for r in asked])
    lengths = np.linalg.norm(whole, axis=1)
    assert cosines(asked, sent) == pytest.approx(whole @ whole.T / np.outer(lengths, lengths), abs=0.04)


def test_running_statistics_say_nothing() -> None:
    sent = {"w": np.zeros(2, dtype=np.float32), "bn.running_mean": np.zeros(2, dtype=np.float32)}
    asked = [
        Reply(site=i, arrays={"w": np.float32([1, 0]), "bn.running_mean": np.float32([camera, 0])})
        for i, camera in enumerate((50, -50, 20, -20))
    ]
    assert cosines(asked, sent) == pytest.approx(np.ones((4, 4)))


def test_one_against_three_is_named_with_its_figures() -> None:
    (found,) = opposed(replies([1, 0, 0], [1, 0.1, 0], [-1, 0, 0], [1, -0.1, 0]), BEFORE, least_cohort=4)
    assert (found.site, found.cosine) == (2, pytest.approx(-0.995, abs=1e-3))
    assert found.others > 0.98
    assert "(cosine -0.9" in found.sentence


@pytest.mark.parametrize(
    ("words", "updates"),
    [
        ("two sides of equal size", ([1, 0, 0], [1, 0, 0], [-1, 0, 0], [-1, 0, 0])),
        ("nobody agrees", ([1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0])),
        ("one that only goes its own way", ([1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0])),
        ("one that changes nothing", ([1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0])),
        ("too few to have a side", ([1, 0, 0], [1, 0, 0], [-1, 0, 0])),
    ],
)
def test_without_a_side_to_be_on_nobody_is_named(words: str, updates: tuple[list[float], ...]) -> None:
    assert opposed(replies(*updates), BEFORE, least_cohort=4) == ()


def test_a_minority_moves_nobody_s_figure_but_its_own() -> None:
    """Whatever one of five sends, the four others' figures stay between those they have among themselves."""
    generator = np.random.default_rng(5)
    honest = [Reply(site=i, arrays={"w": np.float32([1, 0, 0]) + generator.normal(0, 0.2, 3)}) for i in range(4)]
    alone = directions(cosines(honest, BEFORE))
    for _ in range(50):
        liar = Reply(site=4, arrays={"w": generator.normal(size=3) * generator.choice([1, 1e6])})
        among = cosines([*honest, liar], BEFORE)
        for i in range(4):
            own = sorted(among[i, j] for j in range(4) if j != i)
            assert own[0] <= directions(among)[i][0] <= own[-1]
        assert directions(among)[4][1] == pytest.approx(np.median([mine for mine, _ in alone]))


def test_the_name_stands_in_ledger_and_record_and_its_reply_is_averaged_all_the_same(tmp_path: Path) -> None:
    result = run(LearningHospitals(5, attacks={1: turned}), tmp_path, rounds=1)
    (named,) = result.rounds[0].opposed
    assert named.site == 1
    assert result.rounds[0].accepted == (0, 1, 2, 3, 4)
    assert result.rounds[0].quarantined == ()
    with Records.open(tmp_path / LEDGER) as records:
        (entry,) = [entry for entry in records.ledger() if entry.kind == "round-aggregated"]
        assert [each["site"] for each in entry.facts["opposed"]] == [1]
        assert records.suspended() == {}


def test_the_operator_sees_the_name_and_that_it_is_a_suspicion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator, plan = tmp_path / "operator", tiny_plan(rounds=1)
    OperatorFolder.create(operator).close()
    known = RunFolder.create(
        run_named(operator, "autumn"),
        plan=plan,
        initial=first_weights(),
        participants=(0, 1, 2, 3, 4),
        deadline_s=None,
        rules=RoundRules(),
    )
    run(LearningHospitals(5, attacks={1: turned}), known.checkpoint, plan=plan)
    code, out, _ = run_command(capsys, "server", "rounds", "status", operator, "autumn")
    assert code == 0
    assert "Round 1, hospital 1: its update points against the others'" in out
    assert "A suspicion, no more." in out
    code, out, _ = run_command(capsys, "server", "rounds", "status", operator, "autumn", "--json")
    (row,) = json.loads(out)["runs"]["autumn"]["rounds"]
    assert [each["site"] for each in row["opposed"]] == [1]


def test_with_privacy_nobody_is_looked_at(tmp_path: Path) -> None:
    private = {"clipping_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5, "max_epsilon": 100.0}
    (tmp_path / "noise.key").write_bytes(b"s" * 32)
    result = run(LearningHospitals(5, attacks={1: turned}), tmp_path, rounds=1, privacy=private, aggregation="fedavg")
    assert result.rounds[0].opposed == ()


@dataclass(frozen=True)
class Rates:
    """How often somebody is named in a run, hostile ones in any round and honest ones per reply."""

    hostile_runs: float
    honest_replies: float


def rates(folder: Path, spread: float, attack: Callable[[VariedHospitals], VariedHospitals]) -> Rates:
    hostile, honest, asked = 0, 0, 0
    for seed in SEEDS:
        people = attack(VariedHospitals(5, seed=seed, spread=spread))
        bad = {*people.attacks, *people.flipped}
        named = [each.site for record in run(people, folder / f"{seed}").rounds for each in record.opposed]
        hostile += bool(bad & set(named))
        honest += sum(site not in bad for site in named)
        asked += ROUNDS * (5 - len(bad))
    return Rates(hostile_runs=hostile / len(SEEDS), honest_replies=honest / asked)


def sign_flip(people: VariedHospitals) -> VariedHospitals:
    people.attacks[1] = turned
    return people


def label_flip(people: VariedHospitals) -> VariedHospitals:
    people.flipped = frozenset({1})
    return people


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_no_honest_hospital_is_named_and_a_turned_one_is_where_the_others_agree(tmp_path: Path, spread: float) -> None:
    clean = rates(tmp_path / "clean", spread, lambda people: people)
    turned_round = rates(tmp_path / "sign", spread, sign_flip)
    mislabelled = rates(tmp_path / "label", spread, label_flip)
    assert clean.honest_replies == turned_round.honest_replies == mislabelled.honest_replies == 0
    least = 0.9 if spread < 1 else 0.2  # where hospitals have little in common, there is no side to be on
    assert turned_round.hostile_runs >= least
    assert mislabelled.hostile_runs >= least
