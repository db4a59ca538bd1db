"""A rest that the server's word may end: how long it is at least and at most, and what a broken line does to it."""

import random
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path

import pytest

from edge_unit import EdgeUnit
from eyebright_common.errors import TrustError, WireError
from eyebright_edge.agent.hints import LEAST_REST_S, ServerHints
from eyebright_edge.agent.service import AgentService
from eyebright_edge.agent.settings import Trial

POLL_S = 900.0


class Even(random.Random):
    """No jitter: the middle of every interval."""

    def random(self) -> float:
        return 0.5


class Line:
    """A server on a clock moved by hand: each time somebody listens, the next of ``answers`` happens.

    An answer is a mark and after how many seconds it is said, an error, or None: nothing is said.
    """

    def __init__(self, *answers: tuple[float, str] | Exception | None) -> None:
        self.now = 0.0
        self.answers = list(answers)
        self.asked_with: list[str] = []
        self.slept: list[float] = []

    def listen(self, mark: str, for_s: float) -> Generator[str]:
        self.asked_with.append(mark)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is None or answer[0] > for_s:
            self.now += for_s
            return
        self.now += answer[0]
        yield answer[1]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def hints(self, chance: random.Random | None = None) -> ServerHints:
        return ServerHints(self.listen, now=lambda: self.now, sleep=self.sleep, chance=chance or Even())


def test_a_word_of_the_server_ends_the_rest() -> None:
    line = Line((200.0, "a"))
    assert line.hints().within(POLL_S, unreached=False)
    assert line.now == 200.0


def test_silence_lets_the_rest_end_by_itself() -> None:
    line = Line(None)
    assert not line.hints().within(POLL_S, unreached=False)
    assert line.now == POLL_S


def test_what_was_heard_is_said_next_time_so_that_it_is_not_told_again() -> None:
    line = Line((0.0, "a"), (50.0, "b"), None)
    hints = line.hints()
    for _ in range(3):
        hints.within(POLL_S, unreached=False)
    assert line.asked_with == ["", "a", "b"]


def test_a_server_that_never_stops_calling_does_not_hurry_a_unit() -> None:
    line = Line(*((0.0, str(n)) for n in range(10)))
    hints = line.hints()
    assert all(hints.within(POLL_S, unreached=False) for _ in range(10))
    assert line.now == 10 * LEAST_REST_S


def test_a_rest_shorter_than_the_least_is_not_made_longer() -> None:
    line = Line((0.0, "a"))
    assert line.hints().within(10.0, unreached=False)
    assert line.now == 10.0


def test_a_broken_line_is_opened_again_ever_more_seldom() -> None:
    line = Line(*[WireError("gone")] * 50)
    assert not line.hints().within(3600.0, unreached=False)
    assert line.slept[:6] == [20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert line.now == 3600.0  # the last pause ends with the rest


def test_units_that_lost_the_same_server_do_not_come_back_all_at_once() -> None:
    firsts = set()
    for seed in range(50):
        line = Line(WireError("gone"), (0.0, "a"))
        line.hints(random.Random(seed)).within(POLL_S, unreached=False)
        firsts.add(round(line.slept[0], 3))
    assert len(firsts) > 40
    assert min(firsts) >= 10.0


def test_the_server_that_comes_back_is_a_hint_after_a_look_that_failed_and_otherwise_not() -> None:
    for unreached, said in ((True, ""), (False, "a")):
        line = Line((100.0, "a"), WireError("gone"), None)
        hints = line.hints()
        hints.within(POLL_S, unreached=False)
        hints.within(POLL_S, unreached=unreached)
        assert line.asked_with[-1] == said


def test_a_look_that_failed_though_the_server_is_there_is_not_repeated_at_once() -> None:
    line = Line((100.0, "a"), None)
    hints = line.hints()
    hints.within(POLL_S, unreached=False)
    assert not hints.within(POLL_S, unreached=True)  # it knows the mark: the server has nothing to say
    assert line.asked_with == ["", "a"]


@pytest.mark.parametrize("refused", [TrustError("revoked"), OSError(13, "the key cannot be read")])
def test_a_unit_that_is_not_let_in_rests_and_lives(refused: Exception) -> None:
    line = Line(*[refused] * 50)
    assert not line.hints().within(POLL_S, unreached=True)
    assert line.now == POLL_S


class Rests:
    """What the service asked of its hints; says yes."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, bool]] = []

    def within(self, longest_s: float, *, unreached: bool) -> bool:
        self.asked.append((longest_s, unreached))
        return True


def _service(unit: EdgeUnit, rests: Rests, slept: list[float], lines: list[str]) -> AgentService:
    return AgentService(
        unit.home,
        places=("server",),
        open_place=lambda place: nullcontext(unit.releases),
        make_agent=lambda source: unit.agent(),
        clock=lambda: unit.now,
        sleep=slept.append,
        hints=rests,
        chance=Even(),
        on_event=lines.append,
    )


def test_the_service_rests_with_an_ear_to_the_server_also_after_a_failure(tmp_path: Path) -> None:
    unit, rests, slept, lines = EdgeUnit(tmp_path), Rests(), [], []
    service = _service(unit, rests, slept, lines)
    service.run(rounds=2)
    unit.releases.reachable = False
    service.run(rounds=2)
    assert rests.asked == [(900.0, False), (60.0, True)]
    assert slept == []
    assert lines.count("the server calls; looking now") == 2


def test_a_trial_is_waited_for_without_the_server(tmp_path: Path) -> None:
    unit, rests, slept = EdgeUnit(tmp_path), Rests(), []
    unit.install("1")
    unit.releases.publish("2")
    unit.trial = Trial(visits=5, minutes=60)
    _service(unit, rests, slept, []).run(rounds=2)
    assert (rests.asked, slept) == ([], [30.0])
