"""Over a network a hospital is who its registered key says, and a question that was lost is asked again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.app import Context as FlowerContext

from eyebright_common import exchange
from eyebright_common.plan import Plan
from eyebright_server.federation.flower import FlowerHospitals, LocalGrid
from eyebright_server.federation.flower.hospitals import Roll
from eyebright_server.federation.flower.records import take_identity
from eyebright_server.federation.gate import set_aside_counts
from eyebright_server.federation.records import Reply
from tiny_federation import tiny_plan

PLAN: Plan = tiny_plan()
APP_DIED = 8


class FlakyNetwork(LocalGrid):
    """A network of nodes that claim to be hospitals; the first answers of a node may be lost, and nodes be away."""

    def __init__(self, claims: list[int], *, lost: Mapping[int, int] | None = None, away: Iterable[int] = ()) -> None:
        take_identity()
        super().__init__(self._answer, [{"partition-id": claim} for claim in claims])  # type: ignore[arg-type]
        self.nodes = list(super().get_node_ids())
        self._losing = {self.nodes[index]: times for index, times in (lost or {}).items()}
        self._away = {self.nodes[index] for index in away}
        self.asked: list[int] = []

    def get_node_ids(self) -> Iterable[int]:
        return [node for node in super().get_node_ids() if node not in self._away]

    def _answer(self, message: Message, context: FlowerContext) -> Message:
        node = message.metadata.dst_node_id
        self.asked.append(self.nodes.index(node))
        if self._losing.get(node, 0) > 0:
            self._losing[node] -= 1
            return Message(Error(code=APP_DIED, reason="the app died"), reply_to=message)
        config = message.content.config_records[exchange.CONFIG]
        echo = {
            exchange.PLAN_DIGEST: Plan.from_json(str(config[exchange.PLAN])).digest(),
            exchange.ROUND: int(str(config[exchange.ROUND])),
            exchange.NONCE: message.metadata.group_id,
        }
        numbers = {exchange.SITE_INDEX: int(str(context.node_config["partition-id"])), exchange.NUM_EXAMPLES: 0}
        return Message(
            RecordDict({exchange.METRICS: MetricRecord(numbers), exchange.CONFIG: ConfigRecord(echo)}), reply_to=message
        )


def asked(network: FlakyNetwork, roll: dict[int, int], **options: Any) -> list[Reply]:
    by_node: Roll = lambda: {network.nodes[index]: site for index, site in roll.items()}  # noqa: E731
    people = FlowerHospitals(
        network, expected=len(roll), roll=by_node, participants=sorted(roll.values()), deadline_s=5.0, **options
    )
    replies = list(people.ask("evaluate", plan=PLAN, round_number=1, arrays=None))
    return sorted(replies, key=lambda reply: reply.site)


def verdicts(replies: list[Reply]) -> list[tuple[int, str | None]]:
    found = []
    for reply in replies:
        setback = set_aside_counts(reply, plan_digest=PLAN.digest(), round_number=1, declared_rows=0)
        found.append((reply.site, setback.reason if setback else None))
    return found


def test_a_hospital_has_the_number_of_its_key_in_whatever_order_nodes_come() -> None:
    assert verdicts(asked(FlakyNetwork([4, 2]), {0: 4, 1: 2})) == [(2, None), (4, None)]


def test_a_hospital_that_answers_as_another_is_set_aside_under_its_own_number() -> None:
    assert verdicts(asked(FlakyNetwork([0, 0]), {0: 0, 1: 1})) == [(0, None), (1, "wrong_site")]


def test_two_hospitals_that_change_places_are_both_set_aside() -> None:
    assert verdicts(asked(FlakyNetwork([1, 0]), {0: 0, 1: 1})) == [(0, "wrong_site"), (1, "wrong_site")]


def test_a_node_that_no_hospital_has_registered_is_not_asked() -> None:
    network = FlakyNetwork([0, 1])
    assert verdicts(asked(network, {0: 0})) == [(0, None)]
    assert network.asked == [0]


def test_a_hospital_that_is_not_connected_is_named_and_the_others_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eyebright_server.federation.flower.hospitals._MEET_S", 0.1)
    first, second = asked(FlakyNetwork([0, 1], away=[1]), {0: 0, 1: 1})
    assert (first.site, first.error_code) == (0, None)
    assert (second.site, second.error) == (1, "it is not connected")


@pytest.fixture
def over_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test's network not be taken for the grid in this process, whose work never gets lost."""
    monkeypatch.setattr("eyebright_server.federation.flower.hospitals.LocalGrid", type(None))


@pytest.mark.usefixtures("over_a_network")
def test_a_question_that_was_lost_is_asked_again_with_another_nonce() -> None:
    network = FlakyNetwork([0, 1], lost={1: 1})
    assert verdicts(asked(network, {0: 0, 1: 1})) == [(0, None), (1, None)]
    assert sorted(network.asked) == [0, 1, 1]


@pytest.mark.usefixtures("over_a_network")
def test_a_hospital_whose_worker_dies_each_time_is_not_asked_without_end() -> None:
    network = FlakyNetwork([0, 1], lost={1: 100})
    _, second = asked(network, {0: 0, 1: 1})
    assert (second.site, second.error_code) == (1, APP_DIED)
    assert network.asked.count(1) == 3
