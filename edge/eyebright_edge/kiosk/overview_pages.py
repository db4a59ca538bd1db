"""The pages beside a visit: today, history, the unit, what leaves it, and the camera's folder."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from eyebright_common import __version__
from eyebright_common.errors import EyebrightError, ImageError, InputError
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.kiosk import views
from eyebright_edge.kiosk.frame import Frame, form_of, own_path
from eyebright_edge.kiosk.health import health_of
from eyebright_edge.kiosk.pictures import thumbnail
from eyebright_edge.kiosk.unit_pages import leaves_view, unit_view
from eyebright_edge.records import Visit

_LONGEST_LIST = 200


class OverviewPages:
    """The pages that show many visits, or none."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.kiosk = frame, frame.kiosk

    async def alive(self, request: Request) -> Response:
        """Say that a person is here, so that the screen does not lock."""
        return Response(status_code=204)

    async def today(self, request: Request) -> Response:
        """Show the day's visits, and those that were not finished."""
        day = self.kiosk.clock().astimezone().date()
        visits = await run_in_threadpool(self.kiosk.desk.visits)
        recent = [visit for visit in visits if datetime.fromisoformat(visit.opened_at).astimezone().date() == day]
        rows = self._rows(request, [visit for visit in recent if visit.answer is not None])
        unfinished = self._rows(request, [v for v in visits if v.answer is None and v.tells][-20:])
        ready, problem = _ready(self.kiosk.home)
        return self.frame.render(request, "today", done=rows, unfinished=unfinished, ready=ready, problem=problem)

    async def history(self, request: Request) -> Response:
        """Show earlier visits, of one patient when a code is given."""
        asked = request.query_params.get("code", "").strip()
        visits = await run_in_threadpool(self.kiosk.desk.visits)
        found = [one for one in visits if asked.lower() in str(one.about.get("patient", "")).lower()]
        return self.frame.render(request, "history", rows=self._rows(request, found[-_LONGEST_LIST:]), asked=asked)

    async def unit(self, request: Request) -> Response:
        """Show what this unit is and how it does."""
        health = health_of(self.kiosk.home.root)
        records, words = self.kiosk.records, self.frame.words(request)
        facts = await run_in_threadpool(
            lambda: unit_view(self.kiosk.home, health, words, open_leftovers=records.open_leftovers())
        )
        return self.frame.render(request, "unit", software=__version__, **facts)

    async def leaves(self, request: Request) -> Response:
        """Show what leaves this unit: the next report, whole."""
        words, today = self.frame.words(request), self.kiosk.clock().astimezone(UTC).date()
        facts = await run_in_threadpool(lambda: leaves_view(self.kiosk.home, words, today=today))
        return self.frame.render(request, "leaves", **facts)

    async def inbox_picture(self, request: Request) -> Response:
        """Show a picture of the camera's folder, small."""
        try:
            name, data = await run_in_threadpool(self.kiosk.inbox.read, request.path_params["key"])
            return Response(await run_in_threadpool(thumbnail, data, name=name), media_type="image/jpeg")
        except (ImageError, InputError):
            return Response(status_code=404)

    async def put_aside(self, request: Request) -> Response:
        """Put a picture of the camera's folder aside."""
        form = await form_of(request)
        await run_in_threadpool(self.kiosk.inbox.put_aside, request.path_params["key"])
        return RedirectResponse(own_path(form.get("next", "")), status_code=303)

    def _rows(self, request: Request, visits: list[Visit]) -> list[views.VisitRow]:
        words = self.frame.words(request)
        return [views.row_of(visit, words) for visit in reversed(visits)]


def _ready(home: UnitHome) -> tuple[bool, str]:
    try:
        return True, home.serving().notice
    except EyebrightError as error:
        return False, str(error)
