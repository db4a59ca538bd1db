"""``eyebright server`` as an operator types it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import exit_code, run_command
from eyebright_common.errors import InvitationError
from eyebright_common.trust import Invitation
from eyebright_common.wire import DistributionClient, Patience, enrol
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from gate_evidence import write_gated_release
from release_folders import write_release
from signed_network import folder_client


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    return run_command(capsys, "server", *arguments)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A folder as `init` leaves it, made once."""
    folder = tmp_path_factory.mktemp("fresh") / "operator"
    assert exit_code("server", "init", folder, "--host", "127.0.0.1") == 0
    return folder


@pytest.fixture
def operator(fresh, tmp_path):
    shutil.copytree(fresh, tmp_path / "operator")
    return tmp_path / "operator"


def test_init_says_where_the_offline_keys_are(tmp_path, capsys):
    code, out, _ = run(capsys, "init", tmp_path / "operator", "--json")
    facts = json.loads(out)
    assert code == 0
    assert len(list(Path(facts["offline_keys"]).glob("*.pem"))) == 10


def test_init_refuses_a_used_folder(operator, capsys):
    code, _, error = run(capsys, "init", operator)
    assert code == 2
    assert "not empty" in error


def test_an_invitation_is_printed_as_one_line_that_can_be_read(operator, capsys):
    code, out, _ = run(capsys, "invite", operator, "unit-1", "--valid-hours", "2")
    assert code == 0
    assert Invitation.decode(out.splitlines()[0]).name == "unit-1"


def test_an_invitation_in_a_file_is_readable_by_its_owner_alone(operator, tmp_path, capsys):
    code, _, _ = run(capsys, "invite", operator, "unit-1", "--out", tmp_path / "invitation")
    assert code == 0
    assert (tmp_path / "invitation").stat().st_mode & 0o777 == 0o600
    assert Invitation.decode((tmp_path / "invitation").read_text()).name == "unit-1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["invite", "{dir}", "Not A Name"], "cannot be the name"),
        (["invite", "{dir}", "unit-1", "--valid-hours", "0"], "valid for some time"),
        (["invite", "{dir}", "unit-1", "--valid-hours", "nan"], "valid for some time"),
        (["invite", "{dir}", "unit-1", "--valid-hours", "1e12"], "valid for some time"),
        (["init", "{dir}-new", "--host", ""], "cannot be the name of a server"),
        (["init", "{dir}-new", "--host", "rounds.example.org/here"], "cannot be the name of a server"),
        (["init", "{dir}-new", "--fleet-port", "7441"], "would share a port"),
        (["invite", "{dir}", "me", "--role", "server"], "not invited"),
        (["invite", "{dir}/nowhere", "unit-1"], "not an operator's folder"),
        (["publish", "{dir}", "{dir}/nowhere"], "holds no release"),
        (["revoke", "{dir}", "nobody"], "no unit has enrolled"),
        (["ledger", "{dir}/nowhere"], "not an operator's folder"),
    ],
)
def test_a_mistake_is_explained_in_one_line_without_a_traceback(operator, capsys, arguments, words):
    code, _, error = run(capsys, *(a.format(dir=operator) for a in arguments))
    assert code != 0
    assert words in error
    assert "Traceback" not in error
    assert len(error.splitlines()) == 1


def test_a_published_release_is_in_the_ledger_once(operator, tmp_path, capsys):
    write_gated_release(tmp_path / "release")
    first = run(capsys, "publish", operator, tmp_path / "release", "--json")
    second = run(capsys, "publish", operator, tmp_path / "release", "--json")
    assert (first[0], second[0]) == (0, 0)
    assert (json.loads(first[1])["new"], json.loads(second[1])["new"]) == (True, False)
    with OperatorFolder.open(operator) as opened:
        assert [entry.kind for entry in opened.records.ledger()] == ["release-published"]
        assert [(r.task, r.version) for r in opened.repository.releases()] == [("oct-dme", "1")]


def test_a_damaged_release_is_not_published(operator, tmp_path, capsys):
    write_release(tmp_path / "release")
    (tmp_path / "release" / "model.onnx").write_bytes(b"other bytes")
    code, _, error = run(capsys, "publish", operator, tmp_path / "release")
    assert code == 4
    assert "model.onnx" in error
    with OperatorFolder.open(operator) as opened:
        assert opened.repository.releases() == ()


def test_a_release_without_a_gate_report_or_with_one_that_blocks_is_not_published(operator, tmp_path, capsys):
    write_release(tmp_path / "never-judged")
    write_gated_release(tmp_path / "blocked", blocks=True)
    assert "no readable gate report" in run(capsys, "publish", operator, tmp_path / "never-judged")[2]
    code, _, error = run(capsys, "publish", operator, tmp_path / "blocked")
    assert code == 5
    assert "the gate blocks this release: parity" in error
    with OperatorFolder.open(operator) as opened:
        assert opened.repository.releases() == ()


def test_units_lists_who_is_in_and_who_is_out(operator, tmp_path, capsys):
    with OperatorFolder.open(operator) as opened, serve_in_thread(opened) as addresses:
        for name in ("unit-1", "unit-2"):
            enrol(opened.invite(name, addresses=addresses), tmp_path / name)
    assert run(capsys, "revoke", operator, "unit-2")[0] == 0
    code, out, _ = run(capsys, "units", operator, "--json")
    assert code == 0
    listed = {p["name"]: p["revoked"] for p in json.loads(out)["participants"]}
    assert listed == {"unit-1": False, "unit-2": True}


@pytest.mark.parametrize("arguments", [["renew"], ["renew", "--targets"], ["rotate"]])
def test_the_repository_is_looked_after_by_command(operator, tmp_path, capsys, arguments):
    assert run(capsys, arguments[0], operator, *arguments[1:])[0] == 0
    with OperatorFolder.open(operator) as opened:
        folder_client(opened.repository, tmp_path / "unit").refresh()


def test_the_ledger_is_shown_and_its_head_is_told(operator, capsys):
    run(capsys, "invite", operator, "unit-1")
    code, out, _ = run(capsys, "ledger", operator, "--json")
    facts = json.loads(out)
    assert code == 0
    assert [entry["kind"] for entry in facts["entries"]] == ["invitation-made"]
    assert facts["head"] == {"entries": 1, "hash": facts["entries"][0]["hash"]}


def test_the_offline_keys_need_their_passphrase_when_there_is_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_KEY_PASSPHRASE", "correct horse")
    assert run(capsys, "init", tmp_path / "operator")[0] == 0
    monkeypatch.delenv("EYEBRIGHT_KEY_PASSPHRASE")
    code, _, error = run(capsys, "rotate", tmp_path / "operator")
    assert code == 4
    assert "passphrase" in error


@pytest.mark.kill
def test_a_killed_server_loses_no_enrolment(operator, tmp_path):
    with OperatorFolder.open(operator) as opened:  # only to make sure it opens before the server does
        assert opened.repository.releases() == ()
    patience = Patience(deadline_s=10, attempts=3, sleep=lambda seconds: None)

    def start() -> tuple[subprocess.Popen[str], dict[str, str]]:
        code = "from eyebright_common.cli import main; main()"
        command = [sys.executable, "-c", code, "server", "serve", str(operator)]
        process = subprocess.Popen(
            [*command, "--port", "0", "--enrolment-port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    process, addresses = start()
    with OperatorFolder.open(operator) as opened:
        made = opened.invite("unit-1")
    reached = {"enrolment_address": addresses["enrolment"], "distribution_address": addresses["distribution"]}
    identity = enrol(made.model_copy(update=reached), tmp_path / "unit-1", patience=patience)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    process, addresses = start()
    try:
        identity.distribution_address = addresses["distribution"]
        with DistributionClient.connect(identity, patience=patience) as client:
            assert re.search(rb'"_type":"timestamp"', client.metadata("timestamp.json"))
        again = {"enrolment_address": addresses["enrolment"], "distribution_address": addresses["distribution"]}
        with pytest.raises(InvitationError):
            enrol(made.model_copy(update=again), tmp_path / "thief", patience=patience)
    finally:
        process.send_signal(signal.SIGTERM)  # as a service manager stops it
        process.communicate(timeout=60)
    assert process.returncode == 0
