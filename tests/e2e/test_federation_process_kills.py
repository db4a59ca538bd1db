"""The kill table over real processes: each ends in each phase of a round, and the run ends as if none had.

What phase a round is in, the server's ledger and the hospital's border log say, before the kill and after it. A phase
is kept for as long as the kill takes by letting a process beside the killed one stand still, never by a clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from eyebright_client.policy import read_policy
from eyebright_client.policy.approve_command import add_approval
from eyebright_server.federation import FederationResult, RoundRules, run_federation
from eyebright_server.federation.warm_start import fresh_student
from eyebright_simulations.federation_demo.demo import RunningFederation
from eyebright_simulations.federation_demo.hospitals import demonstration_plan
from real_federation import (
    Crossings,
    Rounds,
    kill,
    ledger_of_the_last_run,
    process_of,
    runs,
    standing_still,
    started,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.kill]
TWO = ("--hospital", "hospital-a", "--hospital", "hospital-b", "--quorum", 2, "--attempts", 1)

# Rows and columns. In the run of a phase, round k is where the k-th process ends; hospital 0's node is the one meant.
PHASES = ("sent", "training", "uploading", "aggregating", "checkpointing")
PROCESSES = ("superlink", "nginx", "supernode", "worker", "rounds")  # the rounds last: they are resumed by hand
# Who stands still so that an answer that has left the worker stays on its way: the one it would have to pass next.
_ON_ITS_WAY = {
    "worker": "supernode",
    "supernode": "nginx",
    "nginx": "superlink",
    "superlink": "nginx",
    "rounds": "nginx",
}


@pytest.fixture(scope="module")
def plan_file(federation: RunningFederation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan of as many rounds as there are processes, approved by the two hospitals of the table."""
    plan = demonstration_plan(rounds=len(PROCESSES))
    for site in federation.sites[:2]:
        add_approval(site, read_policy(site), plan)
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    path.write_text(plan.canonical_json())
    return path


@pytest.fixture(scope="module")
def undisturbed(
    federation: RunningFederation, plan_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> FederationResult:
    """The same rounds in this process, over the same two hospitals' folders."""
    plan = demonstration_plan(rounds=len(PROCESSES))
    return run_federation(
        plan=plan,
        initial=fresh_student(plan),
        sites=federation.sites[:2],
        checkpoint=tmp_path_factory.mktemp("undisturbed"),
        rules=RoundRules(quorum=2),
    )


class Watched:
    """One run with hospitals 0 and 1, of which 0 is watched."""

    def __init__(self, federation: RunningFederation, phase: str, plan_file: Path) -> None:
        self.federation = federation
        self.name = f"kills-while-{phase}"
        self.crossings = Crossings(federation, 0)
        points = {"sent": ("opening", "sent")}.get(phase, (phase,))
        held = [f"{point}-{number}" for number in range(1, len(PROCESSES) + 1) for point in points]
        self.rounds = started(federation, self.name, *TWO, plan=plan_file, held=held)

    def phase(self, number: int) -> str:
        """Return where a round is, by the ledger and the border log."""
        entries = [entry for entry in ledger_of_the_last_run(self.federation) if entry.facts.get("round") == number]
        kinds = {entry.kind for entry in entries}
        if "round-closed" in kinds:
            return "closed"
        if "round-aggregated" in kinds:
            return "checkpointing" if "out" in self.crossings.in_round(number, "evaluate") else "evaluating"
        accepted = {entry.facts["hospital"] for entry in entries if entry.kind == "reply-accepted"}
        if 0 in accepted:
            return "aggregating" if accepted == {0, 1} else "waiting for the other hospital"
        crossed = self.crossings.in_round(number, "train")
        if crossed:
            return {"in": "training", "out": "uploading"}[crossed[-1]]
        return "sent" if "round-opened" in kinds else "not begun"

    def process(self, program: str) -> int:
        return process_of(self.federation, program, 0)

    @contextmanager
    def kept_in(self, phase: str, number: int, *, victim: str) -> Iterator[None]:
        """Wait until a round is in a phase, and keep it there."""
        if phase in {"aggregating", "checkpointing"}:
            self.rounds.reaches(f"{phase}-{number}")
            yield
            self.rounds.go_on_from(f"{phase}-{number}")
        elif phase == "sent":
            self.rounds.reaches(f"opening-{number}")
            with standing_still(self.process("worker")):
                self.rounds.go_on_from(f"opening-{number}")
                self.rounds.reaches(f"sent-{number}")
                yield
                self.rounds.go_on_from(f"sent-{number}")
        else:
            until(lambda: self.crossings.in_round(number, "train"), f"the question of round {number}")
            with standing_still(self.process("worker" if phase == "training" else _ON_ITS_WAY[victim])):
                if phase == "uploading":
                    self._answer_has_left(number, the_worker=victim != "worker")
                yield

    def _answer_has_left(self, number: int, *, the_worker: bool) -> None:
        until(lambda: self.crossings.in_round(number, "train")[-1] == "out", f"the answer of round {number}")
        taken = self.federation.homes["hospital-a"] / "node" / "taken" / "taken.json"
        if the_worker:
            until(lambda: not taken.exists(), "the answer in the SuperNode's hands")
        assert taken.exists() != the_worker, "a worker that still has its message has not handed its answer over"

    def killed(self, victim: str) -> int:
        """Kill a process; return which it was."""
        if victim == "rounds":
            return self.rounds.killed()
        pid = self.process(victim)
        kill(pid)
        return pid


@pytest.mark.parametrize("phase", PHASES)
def test_every_process_may_end_in_this_phase(federation, undisturbed, plan_file, phase):
    run, killed = Watched(federation, phase, plan_file), {}
    with closing(run.rounds):
        for number, victim in enumerate(PROCESSES, start=1):
            with run.kept_in(phase, number, victim=victim):
                assert run.phase(number) == phase, f"{victim} would not be killed while {phase}"
                killed[victim] = run.killed(victim)
                assert run.phase(number) == phase, f"{victim} was not killed while {phase}"
    resumed = Rounds(federation, "resume", run.name)  # the others are started again by who looks after them
    assert resumed.result()["rounds"] == len(PROCESSES)
    assert_as_undisturbed(federation, undisturbed)
    assert all(run.process(victim) != pid for victim, pid in killed.items() if victim != "rounds")
    if phase in {"aggregating", "checkpointing"}:
        asked = [run.crossings.in_round(number, "train") for number in range(1, len(PROCESSES) + 1)]
        assert asked == [["in", "out"]] * len(PROCESSES), "an accepted reply is not asked for again"


def assert_as_undisturbed(federation: RunningFederation, expected: FederationResult) -> None:
    """Each round in one attempt, everybody's reply accepted once, the same students to the last bit."""
    entries = ledger_of_the_last_run(federation)
    rounds = [record.round for record in expected.rounds]
    accepted = sorted((e.facts["round"], e.facts["hospital"]) for e in entries if e.kind == "reply-accepted")
    assert accepted == [(number, hospital) for number in rounds for hospital in (0, 1)]
    for kind in ("round-aggregated", "round-closed"):
        students = [(e.facts["round"], e.facts["weights_sha256"]) for e in entries if e.kind == kind]
        assert students == [(record.round, record.weights_sha256) for record in expected.rounds]
    assert not [entry for entry in entries if entry.kind in {"round-below-quorum", "reply-set-aside"}]


def test_the_whole_server_killed_while_hospitals_train(federation, undisturbed, plan_file):
    training = Crossings(federation, 0)
    with closing(started(federation, "server-kill", *TWO, "--budget", 1, plan=plan_file)) as rounds:
        until(lambda: training.came("train", "in"), "the question to train")
        before = {program: process_of(federation, program) for program in ("superlink", "nginx")}
        kill(federation.server.pid)
        until(lambda: not any(runs(pid) for pid in before.values()), "the end of its children")
        federation.start_server()
        assert rounds.result()["student_sha256"] == undisturbed.rounds[0].weights_sha256


def test_a_late_reply_and_one_under_another_s_name_are_written_down_and_not_averaged(federation):
    """Hospital 1 stands still over the deadline; hospital 2 answers as hospital 0."""
    late, site = Crossings(federation, 1), federation.sites[2] / "site.json"
    before = site.read_text()
    site.write_text(json.dumps({**json.loads(before), "index": 0}))
    names = [word for letter in "abc" for word in ("--hospital", f"hospital-{letter}")]
    try:
        with closing(started(federation, "late", *names, "--quorum", 1, "--budget", 1, "--deadline-s", 25)) as rounds:
            until(lambda: late.came("train", "in"), "the question to train")
            with standing_still(process_of(federation, "worker", 1)):
                until(lambda: "round-aggregated" in [e.kind for e in ledger_of_the_last_run(federation)], "an average")
            rounds.result()
    finally:
        site.write_text(before)
    entries = ledger_of_the_last_run(federation)
    assert [e.facts["hospital"] for e in entries if e.kind == "reply-accepted"] == [0]
    assert [e.facts["hospital"] for e in entries if e.kind == "reply-late"] == [1]
    aside = {(e.facts["hospital"], e.facts["question"], e.facts["reason"]) for e in entries if "set-aside" in e.kind}
    assert {(1, "train", "no_answer"), (2, "train", "wrong_site")} <= aside
