"""The border log, read by people: words and bytes, and only when every line holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import run_command
from eyebright_client.audit import Crossing, read_audit, record
from eyebright_common.errors import TrustError


def crossing(kind: str, direction: str, size: int, outcome: str = "ok") -> Crossing:
    return Crossing(
        kind=kind,
        direction=direction,
        round=1,
        size_bytes=size,
        sha256="0" * 64,
        plan="1" * 64,
        outcome=outcome,
        at="2026-11-21T10:00:00+00:00",
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    for one in (
        crossing("train", "in", 1000),
        crossing("train", "out", 900),
        crossing("train", "in", 1000),
        crossing("train", "out", 800),
        crossing("evaluate", "in", 1000),
        crossing("evaluate", "out", 40, "plan_refused"),
    ):
        record(site, one)
    return tmp_path


def test_bytes_are_added_up_by_what_was_said(home: Path) -> None:
    found = read_audit(home / "site")
    assert found.bytes_by("out") == 900 + 800 + 40
    assert found.counts("out") == {
        "we refused: plan refused": (1, 40),
        "we sent back the trained student, the number of pictures and the mean losses": (2, 1700),
    }


def test_a_log_that_was_changed_is_not_added_up(home: Path) -> None:
    log = home / "site" / "audit.jsonl"
    log.write_text(log.read_text().replace('"size_bytes":900', '"size_bytes":9'))
    with pytest.raises(TrustError, match="line 2"):
        read_audit(home / "site")


def test_a_line_that_was_cut_short_never_left_and_is_not_shown(home: Path) -> None:
    with (home / "site" / "audit.jsonl").open("ab") as log:
        log.write(b'{"at":"2026')
    assert len(read_audit(home / "site").lines) == 6


def test_a_hospital_that_nobody_asked_has_an_empty_log(tmp_path: Path) -> None:
    assert read_audit(tmp_path).lines == ()


def test_audit_prints_words_bytes_and_the_head(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_command(capsys, "client", "audit", "--home", home)
    assert code == 0
    assert f"6 messages, unbroken; 1740 bytes have left. Head: {read_audit(home / 'site').head}" in out
    code, out, _ = run_command(capsys, "client", "audit", "--home", home, "--json")
    assert [line["size_bytes"] for line in json.loads(out)["messages"]] == [1000, 900, 1000, 800, 1000, 40]


def test_audit_of_a_changed_log_ends_with_the_code_for_trust(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = home / "site" / "audit.jsonl"
    log.write_text("".join(reversed(log.read_text().splitlines(keepends=True))))
    assert run_command(capsys, "client", "audit", "--home", home)[0] == 4
