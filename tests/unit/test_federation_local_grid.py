"""The grid inside this process behaves as Flower's others do."""

from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict

from eyebright_common import exchange
from eyebright_common.errors import FederationError, InputError
from eyebright_server.federation.flower import FlowerHospitals, LocalGrid, run_with_ray
from eyebright_server.federation.flower.records import take_identity
from tiny_federation import tiny_plan
from value_hospitals import small_arrays

PLAN = tiny_plan()


def echo(message: Message, context: Context) -> Message:
    """A ClientApp that says its number and adds one to every array."""
    arrays = message.content.array_records.get("arrays", ArrayRecord())
    answer = RecordDict(
        {
            "arrays": ArrayRecord({name: Array(array.numpy() + 1) for name, array in arrays.items()}),
            "config": message.content["config"],
        }
    )
    answer["metrics"] = _number(int(context.node_config["partition-id"]))
    return Message(answer, reply_to=message)


# A grid wants a ClientApp and calls it; a function of that shape will do.
ECHO: Any = echo


def _number(index: int) -> object:
    from flwr.app import MetricRecord

    return MetricRecord({exchange.SITE_INDEX: index})


def hospitals(app: Any, count: int = 2, **options: float) -> FlowerHospitals:
    take_identity()
    grid = LocalGrid(app, [{"partition-id": i} for i in range(count)])
    return FlowerHospitals(grid, expected=count, **options)


def test_every_hospital_is_asked_and_says_its_own_number() -> None:
    replies = list(hospitals(ECHO, 3).ask("train", plan=PLAN, round_number=1, arrays=small_arrays()))
    assert [reply.site for reply in replies] == [0, 1, 2]
    np.testing.assert_array_equal(
        replies[2].arrays["features.weight"], small_arrays()["features.weight"] + np.float32(1)
    )


def test_an_app_cannot_change_the_servers_arrays() -> None:
    def vandal(message: Message, context: Context) -> Message:
        message.content["arrays"].clear()
        return echo(message, context)

    sent = small_arrays()
    list(hospitals(vandal).ask("train", plan=PLAN, round_number=1, arrays=sent))
    np.testing.assert_array_equal(sent["features.weight"], small_arrays()["features.weight"])


def test_what_an_app_raises_stays_on_its_side() -> None:
    def careless(message: Message, context: Context) -> Message:
        raise RuntimeError("/data/hospital/Mrs-Smith.png is broken")

    for reply in hospitals(careless).ask("train", plan=PLAN, round_number=1, arrays=small_arrays()):
        assert reply.error_code is not None
        assert "Smith" not in reply.error


def test_a_reply_that_is_not_one_of_ours_is_an_error_of_that_hospital() -> None:
    def odd(message: Message, context: Context) -> Message:
        return Message(RecordDict(), reply_to=message)

    (reply,) = hospitals(odd, 1).ask("train", plan=PLAN, round_number=1, arrays=small_arrays())
    assert reply.error_code == exchange.Refusal.FAILED


def test_two_hospitals_cannot_have_one_number() -> None:
    def twin(message: Message, context: Context) -> Message:
        context.node_config["partition-id"] = 0
        return echo(message, context)

    replies = list(hospitals(twin).ask("query", plan=PLAN, round_number=1, arrays=None))
    assert [reply.site for reply in replies] == [0, -1]


def test_bytes_are_those_of_the_arrays_and_little_more() -> None:
    big = {"features.weight": np.zeros((256, 256), dtype=np.float32)}
    (reply,) = hospitals(ECHO, 1).ask("train", plan=PLAN, round_number=1, arrays=big)
    for size in (reply.bytes_up, reply.bytes_down):
        assert 256 * 256 * 4 <= size <= 256 * 256 * 4 + 2000


def test_when_the_time_is_over_missing_replies_are_said_to_be_missing() -> None:
    replies = list(hospitals(ECHO, 2, deadline_s=0.0).ask("train", plan=PLAN, round_number=1, arrays=small_arrays()))
    assert [reply.error for reply in replies] == ["no reply came", "no reply came"]


def test_a_stopped_run_does_not_wait_for_replies() -> None:
    people = hospitals(ECHO, 2)
    people.stopped.set()
    with pytest.raises(FederationError, match="stopped"):
        list(people.ask("train", plan=PLAN, round_number=1, arrays=small_arrays()))


def test_send_and_receive_returns_one_reply_per_message() -> None:
    take_identity()
    grid = LocalGrid(ECHO, [{"partition-id": i} for i in range(2)])
    content = RecordDict({"config": _config()})
    messages = [Message(content, node, "query") for node in grid.get_node_ids()]
    assert len(list(grid.send_and_receive(messages))) == 2
    assert list(grid.send_and_receive(messages, timeout=0.0)) == []


def _config() -> object:
    from flwr.app import ConfigRecord

    return ConfigRecord({exchange.ROUND: 1})


def test_ray_that_is_not_installed_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eyebright_server.federation.flower.engine.find_spec", lambda name: None)
    with pytest.raises(InputError, match="eyebright\\[simulations\\]"):
        run_with_ray(
            lambda hospitals: None,
            client_app=ECHO,
            hospitals=1,
            deadline_s=None,
            cpus=1,
            cpus_per_hospital=1,
        )
