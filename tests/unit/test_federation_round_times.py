"""How long a round took over the network, and how long its slowest hospital worked: from both sides' own logs."""

import json

from eyebright_client.audit.crossings import AuditLine
from eyebright_server.records import LedgerEntry
from eyebright_simulations.federation_demo.round_times import RoundTime, times_of


def entry(seq: int, second: int, kind: str, run: str = "r2", **facts: object) -> LedgerEntry:
    payload = json.dumps({"run": run, **facts})
    at = f"2026-11-21T10:00:{second:02d}.250000+00:00"
    return LedgerEntry(seq=seq, time=at, kind=kind, payload=payload, previous_hash="", hash="")


def line(second: int, kind: str, direction: str, number: int = 1) -> AuditLine:
    return AuditLine(
        sequence=1, at=f"2026-11-21T10:00:{second:02d}+00:00", kind=kind, direction=direction, round=number,
        size_bytes=1, sha256="", plan="", outcome="ok",
    )  # fmt: skip


LEDGER = [
    entry(1, 1, "run-opened", run="r1"),
    entry(2, 1, "round-opened", run="r1", round=1),
    entry(3, 5, "round-closed", run="r1", round=1),
    entry(4, 10, "run-opened"),
    entry(5, 10, "round-opened", round=1),
    entry(6, 30, "round-closed", round=1),
    entry(7, 31, "round-opened", round=2),
]


def test_the_hospital_that_worked_longest_is_the_measure():
    quick = [line(11, "train", "in"), line(15, "train", "out")]
    slow = [line(10, "query", "in"), line(10, "query", "out"), line(12, "train", "in"), line(24, "train", "out"),
            line(27, "evaluate", "in"), line(28, "evaluate", "out")]  # fmt: skip
    assert times_of(LEDGER, [quick, slow]) == [RoundTime(round=1, seconds=20.0, own_s=12 + 1)]


def test_work_for_an_earlier_run_another_round_or_a_lost_question_does_not_count():
    earlier = [line(2, "train", "in"), line(4, "train", "out")]
    other = [line(12, "train", "in", 2), line(22, "train", "out", 2)]
    asked_twice = [line(11, "train", "in"), line(16, "train", "in"), line(19, "train", "out")]
    assert times_of(LEDGER, [[*earlier, *other, *asked_twice]])[0].own_s == 19 - 16


def test_a_question_in_the_second_of_its_round_s_opening_is_not_before_it():
    """The ledger opened the round at 10.25 s; the border log cuts off what is below a second."""
    assert times_of(LEDGER, [[line(10, "train", "in"), line(14, "train", "out")]])[0].own_s == 4


def test_without_a_run_there_are_no_rounds():
    assert times_of([], [[line(10, "train", "in")]]) == []


def test_a_round_that_was_repeated_counts_from_its_last_opening():
    repeated = [*LEDGER[:5], entry(6, 18, "round-opened", round=1), entry(7, 30, "round-closed", round=1)]
    (found,) = times_of(repeated, [[line(19, "train", "in"), line(25, "train", "out")]])
    assert (found.seconds, found.own_s) == (12.0, 6.0)
    assert str(found) == "12 s; its slowest hospital's own work: 6 s, 2.00 times"
