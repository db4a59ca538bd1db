"""The operator's records in PostgreSQL: rounds over them, and what is said when it cannot be."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from command_line import run_command
from eyebright_common.errors import EyebrightError
from eyebright_server.distribution import OperatorFolder
from eyebright_server.records import Records, ledger
from eyebright_simulations.federation_demo.processes import free_ports
from postgres_cluster import Cluster
from tiny_federation import tiny_plan, tiny_site

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECRET = "geheim"


@pytest.fixture
def operator(tmp_path: Path) -> Path:
    OperatorFolder.create(tmp_path / "operator").close()
    return tmp_path / "operator"


def with_records_in(operator: Path, url: str) -> Path:
    settings = operator / "server.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "records_url": url}))
    return operator


@pytest.mark.slow
def test_rounds_are_started_resumed_and_looked_at(
    postgres: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator, plan = tmp_path / "operator", tiny_plan(rounds=2)
    code, out, err = run_command(capsys, "server", "init", operator, "--records-url", postgres.fresh_url())
    assert code == 0, err
    assert "pass" not in out
    assert (operator / "server.json").stat().st_mode & 0o077 == 0, "it holds a password"
    sites = [tiny_site(tmp_path / f"site-{i}", i, plan) for i in range(2)]
    (tmp_path / "plan.json").write_text(plan.canonical_json())
    words = ["--plan", tmp_path / "plan.json", *(word for site in sites for word in ("--site", site))]
    code, _, err = run_command(
        capsys, "server", "rounds", "start", operator, "autumn", *words, "--quorum", 2, "--attempts", 1
    )
    assert code == 0, err
    code, out, _ = run_command(capsys, "server", "rounds", "status", operator, "--json")
    assert code == 0
    facts = json.loads(out)
    assert [row["accepted"] for row in facts["runs"]["autumn"]["rounds"]] == [[0, 1], [0, 1]]
    code, out, _ = run_command(capsys, "server", "rounds", "resume", operator, "autumn", "--json")
    assert (code, json.loads(out)["resumed_after"]) == (0, 2)
    assert not (operator / "records.sqlite").exists()
    with OperatorFolder.open(operator) as opened:
        assert opened.records.verify_ledger().entries >= facts["ledger"]["entries"] > 8


REFUSED = {
    "no address": (SECRET, 2, "address cannot be used"),
    "another database": (f"mysql://u:{SECRET}@127.0.0.1/records", 2, "address cannot be used"),
    "no port": (f"postgresql://u:{SECRET}@127.0.0.1:port/records", 2, "address cannot be used"),
    "an @ in the password": (f"postgresql://u:{SECRET}@{SECRET}@127.0.0.1:1/records", 1, "nobody answers there"),
    "nobody there": (f"postgresql://u:{SECRET}@127.0.0.1:FREE/records", 1, "nobody answers there"),
    "wrong password": (f"postgresql://eyebright:{SECRET}@127.0.0.1:PORT/postgres", 1, "user or password is refused"),
    "password in the query": (f"postgresql://eyebright@127.0.0.1:PORT/postgres?password={SECRET}", 1, "is refused"),
    "no password": (f"postgresql://eyebright@127.0.0.1:PORT/postgres?application_name={SECRET}", 1, "for a password"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_records_that_cannot_be_opened_are_one_line_without_the_password(
    postgres: Cluster, operator: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    url, expected, words = REFUSED[name]
    url = url.replace("PORT", str(postgres.port)).replace("FREE", str(free_ports(1)[0]))
    for command in (("rounds", "status"), ("ledger",)):
        code, out, err = run_command(capsys, "server", *command, with_records_in(operator, url))
        assert code == expected
        assert words in err
        assert len(err.strip().splitlines()) == 1
        assert SECRET not in out + err


def test_a_database_that_is_not_there_is_named(
    postgres: Cluster, operator: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run_command(capsys, "server", "rounds", "status", with_records_in(operator, postgres.url("autumn")))
    assert code == 1
    assert "there is no such database" in err
    assert f"127.0.0.1:{postgres.port}/autumn" in err
    assert "pass" not in err.replace("the password", "")


def test_a_folder_whose_records_cannot_be_opened_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"postgresql://u:{SECRET}@127.0.0.1:{free_ports(1)[0]}/records"
    code, _, err = run_command(capsys, "server", "init", tmp_path / "operator", "--records-url", url)
    assert code == 1
    assert "nobody answers there" in err
    assert SECRET not in err
    assert not (tmp_path / "operator").exists()


def test_a_missing_driver_is_named_with_its_extra(
    operator: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    url = f"postgresql://u:{SECRET}@127.0.0.1/records"
    code, _, err = run_command(capsys, "server", "rounds", "status", with_records_in(operator, url))
    assert code == 1
    assert "driver is not installed" in err
    assert "eyebright[postgresql]" in err
    assert SECRET not in err


def sessions_ended(postgres: Cluster, url: str) -> None:
    """As when the database is restarted: every session of it is cut off."""
    with Records.open(postgres.fresh_url()) as other, other.reading() as session:
        ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        assert session.execute(ended, {"name": url.rpartition("/")[2]}).all()


def test_a_database_restarted_between_two_entries_is_found_again(postgres: Cluster) -> None:
    url = postgres.fresh_url()
    with Records.open(url) as records:
        records.append("x", {}, now=NOW)
        sessions_ended(postgres, url)
        records.append("x", {}, now=NOW)
        assert records.verify_ledger().entries == 2


def test_a_database_lost_in_the_middle_of_an_entry_keeps_none_of_it(postgres: Cluster) -> None:
    url = postgres.fresh_url()
    with Records.open(url) as records:
        records.append("x", {}, now=NOW)
        with pytest.raises(EyebrightError, match="the records cannot be used"), records.writing() as session:
            ledger.append(session, "x", {}, now=NOW)
            sessions_ended(postgres, url)
            ledger.append(session, "x", {}, now=NOW)
        assert records.verify_ledger().entries == 1
