"""``eyebright server key`` and ``renew`` as an operator types them."""

from __future__ import annotations

import json
import shutil

import pytest

from command_line import exit_code, run_command
from eyebright_server.distribution import OperatorFolder
from signed_network import folder_client, write_release


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    return run_command(capsys, "server", *arguments)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fresh") / "operator"
    assert exit_code("server", "init", folder) == 0
    return folder


@pytest.fixture
def operator(fresh, tmp_path):
    shutil.copytree(fresh, tmp_path / "operator")
    return tmp_path / "operator"


def listed(capsys, operator) -> dict[str, list[dict[str, object]]]:
    code, out, _ = run(capsys, "key", "list", operator, "--json")
    assert code == 0
    found: dict[str, list[dict[str, object]]] = {}
    for key in json.loads(out)["keys"]:
        found.setdefault(key["role"], []).append(key)
    return found


def test_list_shows_every_role_its_threshold_and_what_is_here(operator, capsys):
    keys = listed(capsys, operator)
    assert {role: len(found) for role, found in keys.items()} == {
        "root": 3, "targets": 2, "students": 2, "teachers": 2, "snapshot": 1, "timestamp": 1,
    }  # fmt: skip
    (operator / "keys" / "offline").rename(operator.parent / "drawer")
    keys = listed(capsys, operator)
    assert [key["here"] for key in keys["root"]] == [False] * 3
    assert [key["here"] for key in keys["timestamp"]] == [True]
    code, out, _ = run(capsys, "key", "list", operator)
    assert code == 0
    assert "2 of 3" in out


@pytest.mark.parametrize("role", ["root", "targets", "students", "teachers", "snapshot", "timestamp", "models"])
def test_rotate_replaces_a_key_and_writes_it_down(operator, capsys, role):
    code, out, _ = run(capsys, "key", "rotate", operator, role, "--json")
    fresh = json.loads(out)["keys"][role]
    assert code == 0
    if role != "models":
        assert fresh in {key["key"] for key in listed(capsys, operator)[role]}
    with OperatorFolder.open(operator) as opened:
        entry = opened.records.ledger()[-1]
        assert (entry.kind, entry.facts) == ("key-rotated", {"role": role, "key": fresh})


def test_both_online_keys_are_replaced_at_once(operator, capsys):
    shutil.rmtree(operator / "keys" / "online")
    code, out, _ = run(capsys, "key", "rotate", operator, "online")
    assert (code, out.count("has a new key")) == (0, 2)
    assert all(key["here"] for role in ("snapshot", "timestamp") for key in listed(capsys, operator)[role])


def test_a_stolen_root_key_is_revoked_by_the_beginning_of_its_id(operator, capsys):
    stolen = str(listed(capsys, operator)["root"][0]["key"])
    code, out, _ = run(capsys, "key", "revoke", operator, stolen[:12])
    assert (code, "signs nothing any more: root" in out) == (0, True)
    code, _, err = run(capsys, "key", "revoke", operator, str(listed(capsys, operator)["root"][0]["key"]))
    assert (code, "fewer keys than must sign" in err) == (4, True)


def test_a_key_on_a_stick_is_placed_and_used(operator, capsys, tmp_path):
    key = str(listed(capsys, operator)["students"][0]["key"])
    (tmp_path / "stick").mkdir()
    shutil.move(operator / "keys" / "offline" / f"students-{key[:12]}.pem", tmp_path / "stick" / "mine.pem")
    assert run(capsys, "key", "place", operator, key[:12], f"file:{tmp_path}/stick/mine.pem")[0] == 0
    assert listed(capsys, operator)["students"][0]["here"] is True
    with OperatorFolder.open(operator) as opened:
        opened.repository.publish(write_release(tmp_path / "r1"))
        assert folder_client(opened.repository, tmp_path / "unit").available("fundus")
    code, _, err = run(capsys, "key", "place", operator, key[:12], "hsm:2")
    assert (code, "keys cannot be kept at such a place: hsm:" in err) == (2, True)


def test_an_encrypted_key_on_a_stick_is_placed_with_its_passphrase(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_KEY_PASSPHRASE", "a long sentence")
    folder, stick = tmp_path / "sealed", tmp_path / "mine.pem"
    assert run(capsys, "init", folder)[0] == 0
    key = str(listed(capsys, folder)["students"][0]["key"])
    shutil.move(folder / "keys" / "offline" / f"students-{key[:12]}.pem", stick)
    assert run(capsys, "key", "place", folder, key[:12], f"file:{stick}")[0] == 0
    with OperatorFolder.open(folder, passphrase=b"a long sentence") as opened:
        opened.repository.publish(write_release(tmp_path / "r1"))
    monkeypatch.setenv("EYEBRIGHT_KEY_PASSPHRASE", "another one")
    code, _, err = run(capsys, "key", "place", folder, key[:12], f"file:{stick}")
    assert (code, "cannot be opened" in err, err.count("\n")) == (4, True, 1)


def test_the_file_of_another_key_is_not_taken_for_it(operator, capsys):
    mine, other = (str(key["key"]) for key in listed(capsys, operator)["students"][:2])
    place = f"file:{operator}/keys/offline/students-{other[:12]}.pem"
    code, _, err = run(capsys, "key", "place", operator, mine[:12], place)
    assert (code, f"another key lies there: {place} has {other[:12]}, not {mine[:12]}" in err) == (2, True)
    assert not (operator / "keys" / "locations.json").exists()


def test_a_path_without_a_scheme_is_shown_as_it_was_typed(operator, capsys):
    key = str(listed(capsys, operator)["students"][0]["key"])
    code, _, err = run(capsys, "key", "place", operator, key[:12], "/media/stick/mine.pem")
    assert (code, "at such a place: /media/stick/mine.pem. Use file:/ABSOLUTE/PATH" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rotate", "director"), "there is no such role: director"),
        (("rotate", "root", "--key", "0000000000"), "this is not a root key: 0000000000"),
        (("revoke", "abc"), "no role names this key: abc"),
        (("rotate", "root", "--all"), "cannot be replaced all at once"),
    ],
)
def test_mistakes_are_one_line(operator, capsys, words, said):
    code, _, err = run(capsys, "key", words[0], operator, *words[1:])
    assert code == 4
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_both_keys_of_the_students_are_lost_and_replaced(operator, capsys):
    for path in (operator / "keys" / "offline").glob("students-*.pem"):
        path.unlink()
    code, _, err = run(capsys, "key", "rotate", operator, "students")
    assert (code, "key rotate DIR students --all" in err) == (4, True)
    code, out, _ = run(capsys, "key", "rotate", operator, "students", "--all")
    assert (code, out.count("students has a new key: ")) == (0, 2)
    assert [key["here"] for key in listed(capsys, operator)["students"]] == [True, True]


@pytest.mark.parametrize(
    "words", [("online", "--all"), ("models", "--key", "0123456789"), ("root", "--all", "--key", "0123456789")]
)
def test_options_that_contradict_each_other_are_refused(operator, capsys, words):
    code, _, err = run(capsys, "key", "rotate", operator, *words)
    assert (code, err.count("\n")) == (2, 1)


def test_a_key_that_is_not_at_its_place_is_said_to_be_missing(operator, capsys):
    key = str(listed(capsys, operator)["students"][0]["key"])
    for path in (operator / "keys" / "offline").glob(f"students-{key[:12]}.pem"):
        path.unlink()
    code, out, _ = run(capsys, "key", "place", operator, key[:12], "file:/nowhere/x.pem")
    assert (code, "It is not there now." in out) == (0, True)


def test_renew_says_what_ends_when_and_renews_by_hand(operator, capsys):
    code, out, _ = run(capsys, "renew", operator, "--targets", "--root", "--json")
    assert code == 0
    assert next(iter(json.loads(out)["ends"])) == "timestamp"
    with OperatorFolder.open(operator) as opened:
        assert json.loads(opened.repository.root_metadata)["signed"]["version"] == 2
    code, out, _ = run(capsys, "renew", operator)
    assert (code, "renew --targets" in out, "the server" in out) == (0, True, True)


def test_without_the_authority_what_is_signed_is_still_listed_renewed_and_exported(operator, capsys, tmp_path):
    shutil.rmtree(operator / "ca")
    with OperatorFolder.open(operator) as opened:
        opened.repository.publish(write_release(tmp_path / "r1"))
    assert listed(capsys, operator)["students"][0]["here"] is True
    assert run(capsys, "renew", operator)[0] == 0
    assert run(capsys, "release", "export", operator, "--to", tmp_path / "stick")[0] == 0
    code, _, err = run(capsys, "invite", operator, "clinic-7")
    assert (code, "ca.key" in err, err.count("\n")) == (4, True, 1)
