"""A worker that was killed is followed by one that goes on with its message, but not for ever."""

from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict

from eyebright_client.node.taken import TakenMessage, forget_taken, keep_taken, left_behind
from eyebright_server.federation.flower.records import take_identity


def taken(token: str = "token-1") -> TakenMessage:
    take_identity()
    message = Message(RecordDict({"arrays": ArrayRecord({"a": Array(np.arange(3))})}), 7, "train", group_id="nonce")
    message.metadata.__dict__["_message_id"] = "question-1"
    context = Context(run_id=5, node_id=7, node_config={}, state=RecordDict(), run_config={})
    return TakenMessage(token=token, task=3, message=message, context=context, deaths=0)


def test_nothing_is_left_where_nothing_was_taken(tmp_path: Path) -> None:
    assert left_behind(tmp_path) is None


def test_the_message_comes_back_with_what_answers_it(tmp_path: Path) -> None:
    keep_taken(tmp_path, taken())
    found = left_behind(tmp_path)
    assert found is not None
    assert (found.token, found.task, found.deaths) == ("token-1", 3, 1)
    assert (found.context.run_id, found.context.node_id) == (5, 7)
    reply = Message(RecordDict(), reply_to=found.message)
    assert reply.metadata.reply_to_message_id == "question-1"
    assert found.message.metadata.group_id == "nonce"
    np.testing.assert_array_equal(found.message.content["arrays"]["a"].numpy(), np.arange(3))


def test_each_death_is_counted_and_another_message_begins_anew(tmp_path: Path) -> None:
    keep_taken(tmp_path, taken())
    deaths = [found.deaths for _ in range(3) if (found := left_behind(tmp_path)) is not None]
    assert deaths == [1, 2, 3]
    keep_taken(tmp_path, taken("token-2"))
    found = left_behind(tmp_path)
    assert found is not None
    assert (found.token, found.deaths) == ("token-2", 1)


def test_an_answered_message_is_forgotten_and_a_torn_one_is_none(tmp_path: Path) -> None:
    keep_taken(tmp_path, taken())
    forget_taken(tmp_path)
    assert left_behind(tmp_path) is None
    keep_taken(tmp_path, taken())
    (tmp_path / "taken" / "message.bin").write_bytes(b"\xff\xff")
    assert left_behind(tmp_path) is None


def test_what_waits_is_readable_by_this_account_alone(tmp_path: Path) -> None:
    keep_taken(tmp_path, taken())
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "taken").iterdir()}
    assert modes == {0o600}
