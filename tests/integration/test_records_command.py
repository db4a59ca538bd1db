"""`eyebright edge records …` as a person types it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command_line import exit_code
from edge_unit import EdgeUnit
from eyebright_edge.records.vault import open_with_pin

PIN = "482916"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EYEBRIGHT_PIN", PIN)
    return EdgeUnit(tmp_path).home.root


def test_a_vault_is_made_looked_into_exported_from_and_expired(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("edge", "records", "create", "--home", home, "--name", "technician 1") == 0
    today = datetime.now(UTC).date()
    vault = open_with_pin(home / "vault", PIN)
    vault.put("old", b"picture", day=today - timedelta(days=50))
    vault.put("young", b"another", day=today)
    assert exit_code("edge", "records", "list", "--home", home) == 0
    assert "2 items; opened by technician 1 (pin)" in capsys.readouterr().out
    assert (
        exit_code("edge", "records", "export", "young", tmp_path / "out.jpg", "--home", home, "--by", "technician 1")
        == 0
    )
    assert (tmp_path / "out.jpg").read_bytes() == b"another"
    assert (home / "exports.jsonl").read_text().count("young") == 1
    assert exit_code("edge", "records", "expire", "--home", home, "--keep-days", "30") == 0
    assert "1 deleted, 1 kept" in capsys.readouterr().out


def test_a_key_file_opens_it_beside_the_pin(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "stick.key"
    assert exit_code("edge", "records", "create", "--home", home, "--name", "stick", "--key-file", key) == 0
    command = ("edge", "records", "add", "--home", home, "--name", "spare", "--key-file", key)
    assert exit_code(*command, "--new-key-file", tmp_path / "spare.key") == 0
    assert exit_code("edge", "records", "list", "--home", home) == 0
    assert "stick (key file), spare (key file)" in capsys.readouterr().out


def test_a_key_can_be_taken_away_and_a_lost_vault_put_aside(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("edge", "records", "create", "--home", home, "--name", "technician 1") == 0
    command = ("edge", "records", "remove", "--home", home, "--name")
    assert exit_code(*command, "technician 1") == 2
    assert "last key" in capsys.readouterr().err
    assert exit_code("edge", "records", "add", "--home", home, "--name", "spare", "--new-key-file", home / "k") == 0
    assert exit_code(*command, "technician 1") == 0
    assert exit_code("edge", "records", "anew", "--home", home) == 0
    assert "vault.old-1" in capsys.readouterr().out
    assert (home / "vault.old-1" / "seals.json").exists()
    assert not (home / "vault").exists()


MISTAKES = {
    "no vault": (("list",), "there is no vault here"),
    "nothing to put aside": (("anew",), "there is no vault here"),
    "nobody's key": (("remove", "--name", "x"), "there is no vault here"),
    "export without one": (("export", "x", "{tmp}/o", "--by", "a"), "there is no vault here"),
    "a home that is not there": (("list", "--home", "{tmp}/nowhere"), "no unit's home"),
    "no days": (("expire", "--keep-days", "0"), "at least a day"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_line(
    mistake: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, word = MISTAKES[mistake]
    given = [part.format(tmp=tmp_path) for part in arguments]
    given += [] if "--home" in given else ["--home", str(home)]
    assert exit_code("edge", "records", *given) == 2
    said = capsys.readouterr().err
    assert word in said
    assert "Traceback" not in said
