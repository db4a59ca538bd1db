"""Which of the signed releases is for this unit: the rollout in force decides, its number being the highest."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from eyebright_common.errors import ReleaseError
from eyebright_common.release.rollout import Ring, Rollout, Use
from eyebright_common.trust import AvailableRelease, UpdateClient
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.source import Offer
from eyebright_edge.agent.tuf_source import TufSource

ALL_SHADOW = (Ring(name="shadow", kind="shadow", share=1.0, wait_hours=0.0),)
ALL_SERVE = (Ring(name="canary", kind="serve", share=1.0, wait_hours=0.0),)


@dataclass
class SignedThings:
    """Stands for an update client that has verified everything."""

    versions: tuple[str, ...]
    rollouts: dict[int, bytes] = field(default_factory=dict)

    def refresh(self) -> None:
        return None

    def available(self, task: str) -> tuple[AvailableRelease, ...]:
        return tuple(
            AvailableRelease(task=task, version=v, files=("release.json",), size_bytes=7, sha256=v * 64)
            for v in self.versions
        )

    def names(self, prefix: str) -> tuple[str, ...]:
        return tuple(f"{prefix}{number}.json" for number in self.rollouts)

    def download_target(self, name: str, path: Path) -> Path:
        path.write_bytes(self.rollouts[int(Path(name).stem)])
        return path


def rollout(number: int, rings: tuple[Ring, ...], state: str = "open") -> bytes:
    made = Rollout.model_validate(
        {"task": "fundus", "number": number, "version": "2", "before": "1", "seed": "s", "rings": rings, "opened": 0}
        | {"state": state}
    )
    return made.to_json()


def offered(folder: Path, things: SignedThings, *, active: str | None) -> Offer | None:
    source = TufSource(cast(UpdateClient, things), None, home=UnitHome(folder), unit="unit-7")
    return source.offered("fundus", active=active)


def test_without_a_rollout_the_newest_is_for_everybody(tmp_path: Path) -> None:
    offer = offered(tmp_path, SignedThings(("1", "2")), active="1")
    assert offer == Offer(task="fundus", version="2", sha256="2" * 64, size_bytes=7)


def test_a_shadow_ring_gets_it_unseen(tmp_path: Path) -> None:
    offer = offered(tmp_path, SignedThings(("1", "2"), {1: rollout(1, ALL_SHADOW)}), active="1")
    assert offer is not None
    assert (offer.version, offer.use) == ("2", Use.SHADOW)


def test_a_unit_without_a_release_first_gets_one_that_serves(tmp_path: Path) -> None:
    offer = offered(tmp_path, SignedThings(("1", "2"), {1: rollout(1, ALL_SHADOW)}), active=None)
    assert offer is not None
    assert (offer.version, offer.use) == ("1", Use.SERVE)


def test_the_rollout_with_the_highest_number_is_in_force(tmp_path: Path) -> None:
    things = SignedThings(("1", "2"), {9: rollout(9, ALL_SHADOW), 10: rollout(10, ALL_SERVE)})
    offer = offered(tmp_path, things, active="1")
    assert offer is not None
    assert (offer.version, offer.use) == ("2", Use.SERVE)


def test_a_paused_rollout_offers_what_the_unit_has(tmp_path: Path) -> None:
    offer = offered(tmp_path, SignedThings(("1", "2"), {1: rollout(1, ALL_SERVE, "paused")}), active="1")
    assert offer is not None
    assert offer.version == "1"


def test_a_rollout_that_cannot_be_read_stops_the_update_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="rollout"):
        offered(tmp_path, SignedThings(("1",), {1: b"{}"}), active="1")
