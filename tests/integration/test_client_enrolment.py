"""A hospital joins with an invitation, fetches its teacher, and leaves, against a running server on loopback."""

from __future__ import annotations

import json
import stat
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from command_line import run_command
from eyebright_client.audit import read_audit
from eyebright_client.enrolment import (
    HospitalHome,
    fetch_published_teacher,
    fetch_teacher,
    join,
    leave,
    read_invitation,
)
from eyebright_client.policy import read_policy
from eyebright_common.digests import sha256_of
from eyebright_common.errors import EyebrightError, InputError, InvitationError, NotPublished, TrustError
from eyebright_common.trust import Role
from eyebright_common.wire import enrol_hospital
from eyebright_server.distribution import OperatorFolder, serve_in_thread
from eyebright_server.superlink.registrations import nodes_in_force
from served_network import IMPATIENT
from signed_network import Clock
from tiny_federation import tiny_plan


@pytest.fixture
def network(tmp_path):
    operator = OperatorFolder.create(tmp_path / "operator")
    with operator, serve_in_thread(operator) as addresses:
        yield operator, addresses


def invited(network, name: str, **how):
    operator, addresses = network
    return operator.invite(name, role=Role.HOSPITAL, addresses=addresses, **how)


def joined(network, home, name: str) -> HospitalHome:
    place = HospitalHome(home)
    join(place, invited(network, name), patience=IMPATIENT)
    return place


def public_pem(curve: ec.EllipticCurve) -> bytes:
    key = ec.generate_private_key(curve)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_hospitals_are_numbered_in_the_order_in_which_they_join(network, tmp_path):
    places = [joined(network, tmp_path / name, name) for name in ("north", "south")]
    assert [place.membership().site_index for place in places] == [0, 1]
    assert [place.membership().fleet_address for place in places] == [network[0].settings.fleet_address] * 2


def test_the_registered_node_key_is_the_one_made_here_and_only_its_owner_can_read_it(network, tmp_path):
    place = joined(network, tmp_path / "north", "north")
    key = load_ssh_private_key(place.node_key.read_bytes(), None)
    assert isinstance(key.curve, ec.SECP384R1)
    registered = nodes_in_force(network[0].records)["north"]
    assert registered.public_key_pem == key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (place.node_key, place.runtime_secret, place.identity / "key.pem"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_hospital_that_has_just_joined_approves_nothing(network, tmp_path):
    assert read_policy(joined(network, tmp_path / "north", "north").site).approved_plans == ()


def test_joining_again_after_a_cut_gives_the_same_place(network, tmp_path):
    invitation, place = invited(network, "north"), HospitalHome(tmp_path / "north")
    join(place, invitation, patience=IMPATIENT)
    first = nodes_in_force(network[0].records)["north"]
    for lost in (place.identity / "identity.json", place.membership_file, place.site / "site.json"):
        lost.unlink()
    assert join(place, invitation, patience=IMPATIENT).site_index == 0
    assert nodes_in_force(network[0].records)["north"] == first
    kinds = [entry.kind for entry in network[0].records.ledger()]
    assert kinds.count("node-registered") == 1


def test_a_home_that_has_joined_does_not_join_again(network, tmp_path):
    place = joined(network, tmp_path / "north", "north")
    with pytest.raises(TrustError, match="already has an identity"):
        join(place, invited(network, "north-2"), patience=IMPATIENT)


def test_a_used_invitation_is_worth_nothing_to_another_hospital(network, tmp_path):
    invitation = invited(network, "north")
    join(HospitalHome(tmp_path / "first"), invitation, patience=IMPATIENT)
    with pytest.raises(InvitationError):
        join(HospitalHome(tmp_path / "second"), invitation, patience=IMPATIENT)
    assert not HospitalHome(tmp_path / "second").membership_file.exists()


def test_an_expired_invitation_registers_no_node(tmp_path):
    clock = Clock()
    with OperatorFolder.create(tmp_path / "operator", clock=clock) as operator, serve_in_thread(operator) as addresses:
        invitation = invited((operator, addresses), "late", validity=timedelta(hours=1))
        clock.pass_time(timedelta(hours=1))
        with pytest.raises(InvitationError):
            join(HospitalHome(tmp_path / "late"), invitation, patience=IMPATIENT)
        assert nodes_in_force(operator.records) == {}


def test_an_invitation_for_a_unit_is_not_for_a_hospital(network):
    with pytest.raises(InvitationError, match="not for a hospital"):
        read_invitation(network[0].invite("unit-1", addresses=network[1]).encode())


def test_a_key_of_another_hospital_is_refused(network, tmp_path):
    place = joined(network, tmp_path / "north", "north")
    taken = nodes_in_force(network[0].records)["north"].public_key_pem
    with pytest.raises(EyebrightError):
        enrol_hospital(
            invited(network, "thief"),
            tmp_path / "thief",
            node_public_key_pem=taken,
            keep=lambda found: None,
            patience=IMPATIENT,
        )
    assert set(nodes_in_force(network[0].records)) == {place.membership().name}


@pytest.mark.parametrize("pem", [public_pem(ec.SECP256R1()), b"no key at all"])
def test_a_node_key_of_another_kind_is_refused(network, tmp_path, pem):
    with pytest.raises(EyebrightError):
        enrol_hospital(
            invited(network, "odd"),
            tmp_path / "odd",
            node_public_key_pem=pem,
            keep=lambda found: None,
            patience=IMPATIENT,
        )
    assert nodes_in_force(network[0].records) == {}


def test_leaving_ends_certificate_and_node_and_keeps_data_policy_and_log(network, tmp_path):
    place = joined(network, tmp_path / "north", "north")
    leave(place, patience=IMPATIENT)
    assert nodes_in_force(network[0].records) == {}
    assert not place.node_key.exists()
    assert not place.identity.exists()
    assert (place.site / "policy.json").exists()
    with pytest.raises(InputError, match="has not joined"):
        place.membership()


def test_a_hospital_that_comes_back_keeps_its_number(network, tmp_path):
    first = joined(network, tmp_path / "north", "north")
    joined(network, tmp_path / "south", "south")
    leave(first, patience=IMPATIENT)
    assert joined(network, tmp_path / "again", "north").membership().site_index == 0


def test_a_hospital_that_was_revoked_has_no_node(network, tmp_path):
    joined(network, tmp_path / "north", "north")
    network[0].records.revoke("north", now=network[0].clock(), role=Role.HOSPITAL)
    assert nodes_in_force(network[0].records) == {}


def published_teacher(network, tmp_path, content: bytes) -> str:
    made = tmp_path / f"{len(content)}.safetensors"
    made.write_bytes(content)
    digest = sha256_of(made)
    network[0].repository.add_target(made, f"teachers/{digest}.safetensors")
    return digest


def test_the_teacher_is_fetched_by_digest_once(network, tmp_path):
    digest = published_teacher(network, tmp_path, b"teacher" * 100_000)
    place = joined(network, tmp_path / "north", "north")
    assert fetch_published_teacher(place, patience=IMPATIENT) == digest
    fetched = place.site / "teacher.safetensors"
    assert sha256_of(fetched) == digest
    before = fetched.stat().st_mtime_ns
    fetch_teacher(place, digest, patience=IMPATIENT)
    assert fetched.stat().st_mtime_ns == before


def test_of_several_teachers_the_plan_decides(network, tmp_path):
    digests = [published_teacher(network, tmp_path, b"teacher" * n) for n in (100, 200)]
    place = joined(network, tmp_path / "north", "north")
    assert fetch_published_teacher(place, patience=IMPATIENT) is None
    for digest in digests:
        assert sha256_of(fetch_teacher(place, digest, patience=IMPATIENT)) == digest


def test_a_teacher_that_is_not_what_its_name_says_is_not_kept(network, tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"something else")
    network[0].repository.add_target(other, f"teachers/{'0' * 64}.safetensors")
    place = joined(network, tmp_path / "north", "north")
    with pytest.raises(TrustError, match="not what its name says"):
        fetch_teacher(place, "0" * 64, patience=IMPATIENT)
    assert not (place.site / "teacher.safetensors").exists()


def test_a_teacher_nobody_published_is_not_there(network, tmp_path):
    place = joined(network, tmp_path / "north", "north")
    with pytest.raises(NotPublished):
        fetch_teacher(place, "1" * 64, patience=IMPATIENT)


def test_commands_of_a_hospital_that_has_joined(network, tmp_path, capsys):
    line = invited(network, "north").encode()
    home = tmp_path / "north"
    code, out, _ = run_command(capsys, "client", "join", line, "--home", home)
    assert code == 0
    assert "Joined as north, hospital 0." in out
    plan = tmp_path / "plan.json"
    plan.write_text(tiny_plan().canonical_json())
    code, out, _ = run_command(capsys, "client", "approve", plan, "--home", home, "--yes")
    assert (code, tiny_plan().digest() in out) == (0, True)
    assert run_command(capsys, "client", "pause", "--home", home)[0] == 0
    code, out, _ = run_command(capsys, "client", "status", "--home", home, "--json")
    facts = json.loads(out)
    assert (facts["paused"], facts["up"], facts["reached"]) == (True, False, False)
    assert facts["approved"] == [tiny_plan().digest()]
    code, out, _ = run_command(capsys, "client", "audit", "--home", home)
    assert (code, "0 messages, unbroken" in out) == (0, True)
    assert read_audit(home / "site").lines == ()


def test_commands_before_joining_say_what_to_do(tmp_path, capsys):
    code, _, problem = run_command(capsys, "client", "status", "--home", tmp_path)
    assert code == 2
    assert "eyebright client join INVITATION" in problem


def test_the_audit_of_a_folder_that_is_no_home_is_not_an_empty_audit(tmp_path, capsys):
    """A mistyped path must not read as "nothing has left"."""
    code, out, problem = run_command(capsys, "client", "audit", "--home", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert "no hospital's home" in problem


@pytest.mark.parametrize("given", ["", "no-such-file.invitation", "yebright1.c2VjcmV0LXRva2VuLXNlY3JldC10b2tlbg.beef"])
def test_what_is_neither_a_file_nor_an_invitation_is_said_without_its_token(given):
    with pytest.raises(InvitationError, match="neither a file nor an invitation") as raised:
        read_invitation(given)
    assert "ViLg" not in str(raised.value)
    assert "LXRva2VuLXNlY3JldC10b2tlbg" not in str(raised.value)
