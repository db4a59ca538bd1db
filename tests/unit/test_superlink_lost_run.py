"""A Flower run that the SuperLink has given up does not end ours: the rounds go on in a new one, a few times."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from eyebright_common.errors import FederationError
from eyebright_server.superlink import rounds
from eyebright_server.superlink.credentials import SuperLinkAccess
from eyebright_server.superlink.rounds import run_on_superlink


def answer(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "https://127.0.0.1/v1/runtime/pull-messages")
    return httpx.HTTPStatusError(f"{status}", request=request, response=httpx.Response(status, request=request))


class Losing:
    """Rounds that are lost some times before they come to their end."""

    def __init__(self, times: int) -> None:
        self.left, self.begun = times, 0

    def __call__(self, people: object) -> None:
        self.begun += 1
        if self.left:
            self.left -= 1
            raise answer(401)


@pytest.fixture
def access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SuperLinkAccess:
    @contextmanager
    def no_grid(access: SuperLinkAccess) -> Iterator[object]:
        yield object()

    monkeypatch.setattr(rounds, "superlink_grid", no_grid)
    return SuperLinkAccess(address="127.0.0.1:1", authority_pem=b"", secret=b"", lock=tmp_path / "rounds.lock")


def run(main: Losing, access: SuperLinkAccess) -> None:
    run_on_superlink(main, access=access, participants=(0,), roll=dict, deadline_s=None)


def test_a_lost_run_is_begun_again(access: SuperLinkAccess) -> None:
    main = Losing(2)
    run(main, access)
    assert main.begun == 3


def test_a_run_that_is_lost_again_and_again_is_handed_to_a_person(access: SuperLinkAccess) -> None:
    main = Losing(100)
    with pytest.raises(FederationError, match="the SuperLink was lost"):
        run(main, access)
    assert main.begun == 5


@pytest.mark.parametrize(("status", "final"), [(401, True), (403, True), (500, True), (502, False), (503, False)])
def test_only_an_answer_that_says_later_is_waited_for(status: int, final: bool) -> None:
    assert rounds._final(answer(status)) is final


def test_a_connection_that_is_refused_is_tried_again_and_a_wrong_certificate_is_not() -> None:
    assert not rounds._final(httpx.ConnectError("All connection attempts failed"))
    assert rounds._final(httpx.ConnectError("certificate verify failed"))


def test_two_processes_do_not_run_rounds_at_once(tmp_path: Path) -> None:
    with (
        rounds._alone(tmp_path / "rounds.lock"),
        pytest.raises(FederationError, match="another process runs rounds"),
        rounds._alone(tmp_path / "rounds.lock"),
    ):
        pass
