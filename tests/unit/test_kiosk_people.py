"""PINs, the lock after a pause, the camera's folder, the machine's health, the settings."""

import json
import stat
from pathlib import Path

import pytest

from eyebright_common.errors import InputError
from eyebright_edge.kiosk.health import health_of
from eyebright_edge.kiosk.inbox import Inbox
from eyebright_edge.kiosk.logins import Logins
from eyebright_edge.kiosk.settings import KIOSK_FILE, read_kiosk_settings
from eyebright_edge.kiosk.technicians import FREE_TRIES, TECHNICIANS_FILE, Technicians


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_pin_opens_and_another_does_not(tmp_path: Path) -> None:
    people = Technicians(tmp_path)
    people.set_pin("Technician 1", "471147")
    assert people.check("Technician 1", "471147", now=0)
    assert not people.check("Technician 1", "471148", now=0)
    assert not people.check("Technician 2", "471147", now=0)


def test_a_pin_is_kept_as_a_salted_hash_that_only_the_owner_can_read(tmp_path: Path) -> None:
    people = Technicians(tmp_path)
    people.set_pin("Technician 1", "47114711")
    people.set_pin("Technician 2", "47114711")
    file = tmp_path / TECHNICIANS_FILE
    kept = json.loads(file.read_text())["technicians"]
    assert "47114711" not in file.read_text()
    assert kept[0]["pin"] != kept[1]["pin"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("pin", ["", "47114", "111111", "123456", "987654", "abcdef", "471147 ", "1" * 13, "٤٧١١٤٧"])
def test_a_pin_that_is_easily_guessed_or_no_pin_is_refused(tmp_path: Path, pin: str) -> None:
    with pytest.raises(InputError, match="PIN"):
        Technicians(tmp_path).set_pin("Technician 1", pin)


@pytest.mark.parametrize("name", ["", " ", "_x", "a\nb", "<b>", "x" * 41])
def test_a_name_that_would_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="name"):
        Technicians(tmp_path).set_pin(name, "471147")


def test_wrong_pins_cost_time_that_a_restart_does_not_give_back(tmp_path: Path) -> None:
    Technicians(tmp_path).set_pin("Technician 1", "471147")
    for _ in range(FREE_TRIES):
        assert not Technicians(tmp_path).check("Technician 1", "000000", now=1000.0)
    assert Technicians(tmp_path).pause_s("Technician 1", now=1000.0) == 30
    assert not Technicians(tmp_path).check("Technician 1", "471147", now=1029.0)
    assert Technicians(tmp_path).check("Technician 1", "471147", now=1030.0)
    assert Technicians(tmp_path).tries_left("Technician 1") == 0
    Technicians(tmp_path).let_in("Technician 1")
    assert Technicians(tmp_path).tries_left("Technician 1") == FREE_TRIES


def test_the_pause_doubles_and_ends_also_when_the_clock_is_set_back(tmp_path: Path) -> None:
    people, now = Technicians(tmp_path), 1000.0
    people.set_pin("Technician 1", "471147")
    pauses = []
    for _ in range(FREE_TRIES + 3):
        people.check("Technician 1", "000000", now=now)
        pauses.append(people.pause_s("Technician 1", now=now))
        now += pauses[-1]
    assert pauses == [0, 0, 0, 0, 30, 60, 120, 240]
    assert people.pause_s("Technician 1", now=0.0) == 240


def test_a_technician_can_leave(tmp_path: Path) -> None:
    people = Technicians(tmp_path)
    people.set_pin("Technician 1", "471147")
    people.remove("Technician 1")
    assert people.names() == ()
    with pytest.raises(InputError, match="no such technician"):
        people.remove("Technician 1")


def test_a_spoilt_list_of_technicians_is_said(tmp_path: Path) -> None:
    (tmp_path / TECHNICIANS_FILE).write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Technicians(tmp_path).names()


def test_a_login_ends_after_a_pause_and_what_the_page_asks_by_itself_does_not_keep_it(clock: Clock) -> None:
    logins = Logins(idle_lock_s=60, now=clock)
    secret = logins.begin("Technician 1")
    clock.now += 50
    assert logins.technician(secret) == "Technician 1"
    clock.now += 50
    assert logins.technician(secret, person=False) == "Technician 1"
    clock.now += 20
    assert logins.technician(secret) is None
    assert logins.technician(None) is None


def test_a_picture_is_offered_once_it_has_stopped_growing(tmp_path: Path, clock: Clock) -> None:
    inbox, picture = Inbox(tmp_path, now=clock), tmp_path / "a.jpg"
    picture.write_bytes(b"half")
    assert inbox.waiting() == ()
    clock.now += 2
    picture.write_bytes(b"half and more")
    assert inbox.waiting() == ()
    clock.now += 2
    assert [one.name for one in inbox.waiting()] == ["a.jpg"]


def test_what_is_no_picture_is_not_offered(tmp_path: Path, clock: Clock) -> None:
    for name in ("note.txt", ".hidden.jpg", "empty.jpg"):
        (tmp_path / name).write_bytes(b"" if name == "empty.jpg" else b"x")
    (tmp_path / "folder.jpg").mkdir()
    inbox = Inbox(tmp_path, now=clock)
    inbox.waiting()
    clock.now += 5
    assert inbox.waiting() == ()


def test_a_picture_is_read_put_aside_and_dropped_by_its_key(tmp_path: Path, clock: Clock) -> None:
    inbox = Inbox(tmp_path, now=clock)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    inbox.waiting()
    clock.now += 5
    keys = {one.name: one.key for one in inbox.waiting()}
    assert inbox.read(keys["a.jpg"]) == ("a.jpg", b"a.jpg")
    inbox.drop(keys["a.jpg"])
    inbox.put_aside(keys["b.jpg"])
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jpg")] == ["aside/b.jpg"]
    with pytest.raises(InputError, match="no longer"):
        inbox.read(keys["a.jpg"])


def test_a_folder_that_is_not_plugged_in_is_empty(tmp_path: Path, clock: Clock) -> None:
    assert Inbox(tmp_path / "card", now=clock).waiting() == ()


def test_health_is_read_from_the_kernel_and_what_it_does_not_say_is_unknown(tmp_path: Path) -> None:
    for zone, value in (("thermal_zone0", "41500"), ("thermal_zone1", "88000"), ("thermal_zone2", "-127000")):
        (tmp_path / "thermal" / zone).mkdir(parents=True)
        (tmp_path / "thermal" / zone / "temp").write_text(value)
    for name, state in (("lo", "up"), ("eth0", "down")):
        (tmp_path / "net" / name).mkdir(parents=True)
        (tmp_path / "net" / name / "operstate").write_text(state)
    (tmp_path / "meminfo").write_text("MemTotal: 4 kB\nMemAvailable:    2048 kB\n")
    kernel = {"thermal": tmp_path / "thermal", "network": tmp_path / "net", "memory": tmp_path / "meminfo"}
    health = health_of(tmp_path, **kernel)
    assert (health.celsius, health.hot, health.network, health.memory_free_bytes) == (88.0, True, False, 2048 * 1024)
    absent = health_of(tmp_path / "x", thermal=tmp_path / "x", network=tmp_path / "x", memory=tmp_path / "x")
    assert (absent.disk_free_bytes, absent.celsius, absent.network, absent.disk_low) == (None, None, None, False)


def test_without_a_file_the_settings_are_the_defaults(tmp_path: Path) -> None:
    settings = read_kiosk_settings(tmp_path, port=0)
    assert (settings.host, settings.port, settings.inbox) == ("127.0.0.1", 0, tmp_path / "inbox")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"host": "0.0.0.0"}', "certificate and key"),
        ('{"host": "clinic.local", "certificate": "c.pem"}', "certificate and key"),
        ('{"language": "tlh"}', "language"),
        ('{"idle_lock_s": 1}', "idle_lock_s"),
        ('{"colour": "red"}', "colour"),
        ("{", "settings"),
    ],
)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / KIOSK_FILE).write_text(content)
    with pytest.raises(InputError, match=problem):
        read_kiosk_settings(tmp_path)


def test_with_a_certificate_other_machines_may_be_let_in(tmp_path: Path) -> None:
    (tmp_path / KIOSK_FILE).write_text('{"host": "0.0.0.0", "certificate": "c.pem", "key": "k.pem"}')
    assert read_kiosk_settings(tmp_path).certificate == tmp_path / "c.pem"
