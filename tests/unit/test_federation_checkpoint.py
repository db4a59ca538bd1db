"""A checkpoint is the last whole round of this run, or an error that says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyebright_common.errors import FederationError
from eyebright_server.federation.checkpoint import Checkpoint, RunState, weights_digest
from eyebright_server.federation.records import RoundRecord, Setback
from value_hospitals import small_arrays


def place(folder: Path, **changes: Any) -> Checkpoint:
    fields: dict[str, Any] = {"folder": folder, "plan_digest": "a", "initial_sha256": "b", "hospitals": 2}
    return Checkpoint(**{**fields, **changes})


def record(number: int) -> RoundRecord:
    return RoundRecord(
        round=number,
        participants=(0, 1),
        accepted=(0,),
        quarantined=(Setback(site=1, reason="not_finite", detail="x"),),
        refused=(),
        evaluated=(0,),
        examples={0: 10},
        losses={"ce": 0.1},
        site_losses={0: {"ce": 0.1}},
        metrics={"macro_auroc": 0.1 + 0.2, "precision": {"dme": None}},
        site_metrics={0: {"n": 4}},
        bytes_up=1,
        bytes_down=2,
        seconds=0.5,
        weights_sha256="c",
    )


def state(rounds: int, best: int = 1) -> RunState:
    weights = {name: array + np.float32(rounds) for name, array in small_arrays().items()}
    return RunState(
        records=tuple(record(i + 1) for i in range(rounds)),
        weights=weights,
        best_round=best,
        best_weights=weights if best == rounds else small_arrays(),
        strategy={"m/features.weight": np.full((2, 3), 1 / 3)},
    )


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    place(tmp_path).save(state(3))
    loaded = place(tmp_path).load()
    assert loaded is not None
    assert loaded.records == state(3).records
    for name in ("weights", "best_weights", "strategy"):
        assert weights_digest(getattr(loaded, name)) == weights_digest(getattr(state(3), name))


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    assert place(tmp_path / "new").load() is None


def test_only_the_last_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    for rounds in (1, 2, 3):
        place(tmp_path).save(state(rounds))
    kept = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert kept == ["strategy-0003.safetensors", "weights-0001.safetensors", "weights-0003.safetensors"]


@pytest.mark.parametrize("change", [{"plan_digest": "z"}, {"initial_sha256": "z"}, {"hospitals": 3}])
def test_another_runs_checkpoint_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    place(tmp_path).save(state(1))
    with pytest.raises(FederationError, match="another run"):
        place(tmp_path, **change).load()


def test_weights_that_were_touched_are_refused(tmp_path: Path) -> None:
    place(tmp_path).save(state(2))
    path = tmp_path / "weights-0002.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(FederationError, match="not what was written"):
        place(tmp_path).load()


def test_half_written_files_of_the_next_round_do_not_matter(tmp_path: Path) -> None:
    place(tmp_path).save(state(2))
    (tmp_path / "weights-0003.safetensors").write_bytes(b"half")
    loaded = place(tmp_path).load()
    assert loaded is not None
    assert loaded.records[-1].round == 2
    place(tmp_path).save(state(3))
    again = place(tmp_path).load()
    assert again is not None
    assert again.records[-1].round == 3


def test_a_broken_index_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "federation.json").write_text("{")
    with pytest.raises(FederationError, match="remove this one"):
        place(tmp_path).load()
