"""The kiosk as a process: one worker, loopback only unless it is told a certificate."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import uvicorn

from eyebright_common.errors import EyebrightError, InputError
from eyebright_common.trust.identity import UnitIdentity
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import read_settings
from eyebright_edge.kiosk.app import kiosk_app
from eyebright_edge.kiosk.frame import Kiosk
from eyebright_edge.kiosk.inbox import Inbox
from eyebright_edge.kiosk.logins import Logins
from eyebright_edge.kiosk.settings import KioskSettings, read_kiosk_settings
from eyebright_edge.kiosk.technicians import Technicians
from eyebright_edge.records.unit_records import UnitRecords
from eyebright_edge.screening.desk import DeskRules, VisitDesk

_TIDY_S = 1.0


def serve_kiosk(
    home: Path, *, clock: Callable[[], datetime], started: Callable[[str], None], port: int | None = None
) -> None:
    """Show the kiosk of a unit until it is interrupted.

    Args:
        home: The unit's home.
        clock: The present time, aware.
        started: Told the address of the first page, once it can be opened.
        port: In place of the settings'; 0 for any free one.

    Raises:
        InputError: this is no unit, its settings cannot be used, or the port is taken.
    """
    unit = UnitHome(home)
    read_settings(unit)
    settings = read_kiosk_settings(home, port=port)
    listening = _listening(settings)
    kiosk = open_kiosk(unit, settings, clock=clock)
    kiosk.records.open_unattended()
    threading.Thread(target=_keep_tidy, args=[kiosk], daemon=True).start()
    server = uvicorn.Server(
        uvicorn.Config(
            kiosk_app(kiosk),
            log_level="warning",
            access_log=False,
            server_header=False,
            http="h11",
            ws="none",
            lifespan="off",
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
            timeout_graceful_shutdown=5,
        )
    )
    scheme = "https" if settings.certificate else "http"
    host, bound = listening.getsockname()[:2]
    started(f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound}/")
    with listening:
        server.run(sockets=[listening])


def _keep_tidy(kiosk: Kiosk) -> None:
    """Lock the records when everybody has gone away; seal what still lies in the open while they are open."""
    sealed = False
    while True:
        time.sleep(_TIDY_S)
        kiosk.logins.end_idle()
        if kiosk.records.is_open and not sealed:
            kiosk.records.seal_leftovers()
        sealed = kiosk.records.is_open


def open_kiosk(home: UnitHome, settings: KioskSettings, *, clock: Callable[[], datetime]) -> Kiosk:
    """Return the kiosk of a unit, ready to be served."""
    name = _unit_name(home)
    rules = DeskRules(camera=settings.camera, refer_days=settings.refer_days, rescreen_months=settings.rescreen_months)
    records = UnitRecords(home.root, home.visits_file, clock=clock, key_file=settings.records_key)
    return Kiosk(
        home=home,
        unit=name,
        records=records,
        desk=VisitDesk(home, clock=clock, pictures=records.pictures, journal=records.journal, rules=rules, unit=name),
        inbox=Inbox(_made(settings.inbox), now=time.time),
        technicians=Technicians(home.root),
        logins=Logins(idle_lock_s=settings.idle_lock_s, now=time.monotonic, when_empty=records.lock),
        settings=settings,
        clock=clock,
    )


def _listening(settings: KioskSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((settings.host, settings.port))
        opened.listen()
    except OSError as error:
        opened.close()
        where = f"{settings.host}:{settings.port} ({error.strerror})"
        raise InputError("the kiosk cannot listen here", value=where, fix="Choose another --port.") from error
    return opened


def _made(inbox: Path) -> Path:
    """Return the camera's folder, made if it can be; one that cannot be made yet may still be plugged in."""
    try:
        inbox.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return inbox
    return inbox


def _unit_name(home: UnitHome) -> str:
    try:
        return UnitIdentity.open(home.identity).name
    except EyebrightError:
        return home.root.name
