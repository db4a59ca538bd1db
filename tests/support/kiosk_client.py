"""The kiosk in front of a test, over HTTP without a browser: a clock set by hand, one technician, one visit."""

from pathlib import Path

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.kiosk.app import kiosk_app
from eyebright_edge.kiosk.frame import Kiosk
from eyebright_edge.kiosk.inbox import Inbox
from eyebright_edge.kiosk.logins import Logins
from eyebright_edge.kiosk.settings import KioskSettings
from eyebright_edge.kiosk.technicians import Technicians
from eyebright_edge.records.unit_records import UnitRecords
from page_client import TestClient
from visit_desk import IN_SCOPE, NOON, desk_at, unit_with_release

HERE = "http://127.0.0.1"
NAME, PIN = "Technician 1", "471147"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def staffed_home(folder: Path) -> UnitHome:
    """Return a unit with a release, and one technician with a PIN."""
    home = unit_with_release(folder)
    Technicians(home.root).set_pin(NAME, PIN)
    return home


def words_of(page: str) -> str:
    """Return a page without the marks that keep numbers and codes in their direction."""
    return page.replace("\u2068", "").replace("\u2069", "")


def kiosk_of(home: UnitHome, clock: Clock, settings: KioskSettings | None = None) -> Kiosk:
    settings = settings or KioskSettings()
    records = UnitRecords(home.root, home.visits_file, clock=lambda: NOON, key_file=settings.records_key)
    (home.root / "inbox").mkdir(exist_ok=True)
    return Kiosk(
        home=home,
        unit="clinic-7",
        records=records,
        desk=desk_at(home, records=records),
        inbox=Inbox(home.root / "inbox", now=clock),
        technicians=Technicians(home.root),
        logins=Logins(idle_lock_s=300, now=clock, when_empty=records.lock),
        settings=settings,
        clock=lambda: NOON,
    )


def client_of(kiosk: Kiosk) -> TestClient:
    return TestClient(kiosk_app(kiosk), base_url=HERE, headers={"origin": HERE})


def unlock(client: TestClient, name: str = NAME, pin: str = PIN, **more: str) -> str:
    """Unlock the screen and return the page that follows."""
    return client.post("/unlock", data={"technician": name, "pin": pin, **more}).text


def begin(client: TestClient, patient: str = "P-17", **answers: str) -> str:
    """Begin a visit and answer the questions; return its address."""
    where = client.post("/visit/new", data={"patient": patient}).url.path
    client.post(f"{where}/checklist", data={**IN_SCOPE, **answers})
    return where


def give(client: TestClient, where: str, eye: str, picture: bytes, name: str = "eye.png") -> str:
    return client.post(f"{where}/picture", data={"eye": eye}, files={"file": (name, picture)}).text
