"""What all pages of the kiosk share: what they work with, who may see them, their language, frame and errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from eyebright_common.errors import EyebrightError
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.catalogues import LANGUAGES, Words, words_in
from eyebright_edge.kiosk.inbox import Inbox
from eyebright_edge.kiosk.logins import Logins
from eyebright_edge.kiosk.settings import KioskSettings
from eyebright_edge.kiosk.technicians import Technicians
from eyebright_edge.records.unit_records import UnitRecords
from eyebright_edge.screening.desk import VisitDesk

Page = Callable[[Request], Awaitable[Response]]

LOGIN, LANGUAGE = "eyebright_login", "eyebright_language"
# What a technician can do something about, by the words of the error, in the technician's language.
ERRORS = {
    "this patient code cannot be used": "error.code",
    "no picture was given": "error.no_picture",
    "this picture was already given for the other eye": "error.same_picture",
    "this picture is no longer in the camera's folder": "error.gone",
    "this file is too large for a picture": "error.too_large",
    "no such visit on this unit": "error.missing",
    "this visit has no such picture": "error.missing",
    "what was kept of this visit has been deleted": "error.forgotten",
    "of this visit only the answer was counted": "error.commanded",
}
_DONE_ELSEWHERE = "this visit is at another step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kiosk:
    """What the pages work with.

    Attributes:
        home: The unit.
        unit: Its name.
        records: What is kept of visits; open while somebody works.
        desk: Holds the visits.
        inbox: Where the camera saves.
        technicians: Who may work here.
        logins: Who is in front of the screen.
        settings: What the clinic decides.
        clock: The present time, aware.
    """

    home: UnitHome
    unit: str
    records: UnitRecords
    desk: VisitDesk
    inbox: Inbox
    technicians: Technicians
    logins: Logins
    settings: KioskSettings
    clock: Callable[[], datetime]
    templates: jinja2.Environment = field(default_factory=lambda: _templates())


class Frame:
    """The frame around every page.

    Args:
        kiosk: What the pages work with.
    """

    def __init__(self, kiosk: Kiosk) -> None:
        self.kiosk = kiosk

    def known(self, page: Page, *, person: bool = True) -> Page:
        """Return a page that only a technician sees; what goes wrong on it is said in the technician's language."""

        async def guarded(request: Request) -> Response:
            technician = self.kiosk.logins.technician(request.cookies.get(LOGIN), person=person)
            if technician is None or not self.kiosk.records.is_open:
                if not person:
                    return Response(status_code=401)
                paused = "&paused=1" if LOGIN in request.cookies else ""
                back = request.url.path if request.method == "GET" else "/"
                return RedirectResponse(f"/lock?next={back}{paused}", status_code=303)
            request.state.technician = technician
            try:
                return await page(request)
            except EyebrightError as error:
                number = request.path_params.get("number")
                if error.what == _DONE_ELSEWHERE and number is not None:
                    # Two fingers or two browsers: show where the visit stands.
                    return RedirectResponse(f"/visit/{number}", status_code=303)
                return self._sorry(request, error)

        return guarded

    async def missing(self, request: Request, _: Exception) -> Response:
        """Say that there is no such page."""
        return self.render(request, "error", status=404, message=self.words(request)("error.missing"))

    def words(self, request: Request) -> Words:
        """Return the technician's language."""
        chosen = request.cookies.get(LANGUAGE, "")
        known = {language.code for language in LANGUAGES}
        return words_in(chosen if chosen in known else self.kiosk.settings.language)

    def render(self, request: Request, page: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page in its frame."""
        technician = getattr(request.state, "technician", None)
        template = self.kiosk.templates.get_template(f"{page}.html.j2")
        text = template.render(
            t=self.words(request),
            languages=LANGUAGES,
            technician=technician,
            path=request.url.path if request.method == "GET" else "/",
            idle_lock_s=self.kiosk.settings.idle_lock_s if technician else 0,
            notices=self.kiosk.desk.notices(),
            unit_name=self.kiosk.unit,
            **values,
        )
        return HTMLResponse(text, status_code=status)

    def _sorry(self, request: Request, error: EyebrightError) -> Response:
        words = self.words(request)
        known = ERRORS.get(error.what)
        status = 404 if known == "error.missing" else 422
        message = words(known) if known else words("error.other")
        return self.render(request, "error", status=status, message=message, detail="" if known else str(error))


async def form_of(request: Request) -> dict[str, str]:
    """Return the text fields of a form."""
    async with request.form(max_files=0, max_fields=20) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def own_path(path: str) -> str:
    """Return a path on this unit, whatever was asked for."""
    own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if own else "/"


def _templates() -> jinja2.Environment:
    folder = files("eyebright_edge.kiosk").joinpath("templates")
    loader = jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8"))
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
