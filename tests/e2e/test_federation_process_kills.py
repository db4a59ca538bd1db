"""The kill table over real processes: each ends in the middle of a round, and the run ends as if none had.

What "in the middle" is, is read from the hospital's audit log and the server's ledger, not from a clock.
"""

from __future__ import annotations

import json
import os
import signal

import pytest

from eyebright_server.federation import FederationResult, RoundRules, run_federation
from eyebright_server.federation.warm_start import fresh_student
from eyebright_simulations.federation_demo.demo import RunningFederation
from real_federation import Crossings, Rounds, kill, ledger_of_the_last_run, process_of, runs, started, until

pytestmark = [pytest.mark.slow, pytest.mark.kill]
TWO = ("--hospital", "hospital-a", "--hospital", "hospital-b", "--quorum", 2, "--attempts", 1, "--budget", 1)


@pytest.fixture(scope="module")
def undisturbed(federation: RunningFederation, tmp_path_factory: pytest.TempPathFactory) -> FederationResult:
    """The same round in this process, over the same two hospitals' folders."""
    return run_federation(
        plan=federation.plan,
        initial=fresh_student(federation.plan),
        sites=federation.sites[:2],
        checkpoint=tmp_path_factory.mktemp("undisturbed"),
        rules=RoundRules(round_budget=1),
    )


def assert_as_undisturbed(federation: RunningFederation, rounds: Rounds, expected: FederationResult) -> None:
    """One attempt, everybody's reply accepted once, the same student to the last bit, a ledger that verifies."""
    assert rounds.result()["student_sha256"] == expected.rounds[0].weights_sha256
    entries = ledger_of_the_last_run(federation)
    accepted = [entry.facts["hospital"] for entry in entries if entry.kind == "reply-accepted"]
    assert sorted(accepted) == [0, 1]
    assert [entry.kind for entry in entries if entry.kind in {"round-aggregated", "round-closed"}] == [
        "round-aggregated",
        "round-closed",
    ]


def accepted_so_far(federation: RunningFederation) -> set[int]:
    entries = ledger_of_the_last_run(federation)
    return {entry.facts["hospital"] for entry in entries if entry.kind == "reply-accepted"}


def test_worker_killed_while_training_nginx_and_supernode_while_uploading(federation, undisturbed):
    training, uploading = Crossings(federation, 0), Crossings(federation, 1)
    rounds = started(federation, "hospital-kills", *TWO)
    until(lambda: training.came("train", "in"), "the question to train")
    killed = {("worker", 0): process_of(federation, "worker", 0)}
    kill(killed["worker", 0])
    assert not training.came("train", "out"), "it was killed before it had an answer"
    until(lambda: uploading.came("train", "out"), "the other hospital's answer")
    killed |= {("nginx", 0): process_of(federation, "nginx"), ("supernode", 1): process_of(federation, "supernode", 1)}
    kill(killed["nginx", 0])
    kill(killed["supernode", 1])
    assert 1 not in accepted_so_far(federation), "it was killed before its answer had arrived"
    assert_as_undisturbed(federation, rounds, undisturbed)
    assert all(process_of(federation, program, hospital) != pid for (program, hospital), pid in killed.items())
    assert [kind for kind, way, _ in training.seen() if (kind, way) == ("train", "in")] == ["train", "train"]


def test_the_whole_server_killed_while_hospitals_train(federation, undisturbed):
    training = Crossings(federation, 0)
    rounds = started(federation, "server-kill", *TWO)
    until(lambda: training.came("train", "in"), "the question to train")
    before = {program: process_of(federation, program) for program in ("superlink", "nginx")}
    kill(federation.server.pid)
    until(lambda: not any(runs(pid) for pid in before.values()), "the end of its children")
    federation.start_server()
    assert_as_undisturbed(federation, rounds, undisturbed)


def test_the_rounds_killed_while_waiting_aggregating_and_checkpointing(federation, undisturbed):
    assert started(federation, "rounds-kills", *TWO, dying_at="waiting").ended() == -signal.SIGKILL
    assert len(accepted_so_far(federation)) == 1
    asked = Crossings(federation, next(iter(accepted_so_far(federation))))
    for point in ("aggregating", "checkpointing"):
        assert Rounds(federation, "resume", "rounds-kills", dying_at=point).ended() == -signal.SIGKILL
    assert_as_undisturbed(federation, Rounds(federation, "resume", "rounds-kills"), undisturbed)
    assert not asked.came("train", "in"), "an accepted reply is not asked for again"


def test_a_late_reply_and_one_under_another_s_name_are_written_down_and_not_averaged(federation):
    """Hospital 1 stands still over the deadline; hospital 2 answers as hospital 0."""
    late, site = Crossings(federation, 1), federation.sites[2] / "site.json"
    before = site.read_text()
    site.write_text(json.dumps({**json.loads(before), "index": 0}))
    worker = process_of(federation, "worker", 1)
    try:
        names = [word for letter in "abc" for word in ("--hospital", f"hospital-{letter}")]
        rounds = started(federation, "late", *names, "--quorum", 1, "--budget", 1, "--deadline-s", 25)
        until(lambda: late.came("train", "in"), "the question to train")
        os.kill(worker, signal.SIGSTOP)
        until(lambda: "round-aggregated" in [entry.kind for entry in ledger_of_the_last_run(federation)], "an average")
        os.kill(worker, signal.SIGCONT)
        rounds.result()
    finally:
        os.kill(worker, signal.SIGCONT)
        site.write_text(before)
    entries = ledger_of_the_last_run(federation)
    assert [e.facts["hospital"] for e in entries if e.kind == "reply-accepted"] == [0]
    assert [e.facts["hospital"] for e in entries if e.kind == "reply-late"] == [1]
    aside = {(e.facts["hospital"], e.facts["question"], e.facts["reason"]) for e in entries if "set-aside" in e.kind}
    assert {(1, "train", "no_answer"), (2, "train", "wrong_site")} <= aside
