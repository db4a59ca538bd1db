"""The pages of the kiosk, and what each form on them does.

A form does its one step at the desk and sends the browser to the visit, which shows whatever comes next: reloading,
going back or pulling the plug never does a step twice. Work at the desk runs in a thread, so that a page of one browser
does not wait for a picture of another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from eyebright_common import __version__
from eyebright_common.errors import EyebrightError, ImageError, InputError
from eyebright_common.release import BOTH_EYES, Eye
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.catalogues import LANGUAGES, Words, words_in
from eyebright_edge.kiosk import views
from eyebright_edge.kiosk.guard import Guard
from eyebright_edge.kiosk.health import health_of
from eyebright_edge.kiosk.inbox import Inbox, WaitingPicture
from eyebright_edge.kiosk.logins import Logins
from eyebright_edge.kiosk.palette import palette_css
from eyebright_edge.kiosk.pictures import looked_png, seen_png, thumbnail
from eyebright_edge.kiosk.settings import KioskSettings, is_loopback
from eyebright_edge.kiosk.technicians import Technicians
from eyebright_edge.kiosk.unit_pages import leaves_view, unit_view
from eyebright_edge.records import Visit
from eyebright_edge.screening.checklist import ANSWERS, QUESTIONS
from eyebright_edge.screening.desk import EYE_OF_STEP, Step, VisitDesk, step_of
from eyebright_edge.screening.results import settled_eyes, visit_result
from eyebright_edge.screening.retakes import RETAKES
from eyebright_edge.screening.visit import eye_in_name

Page = Callable[[Request], Awaitable[Response]]

_LOGIN, _LANGUAGE = "eyebright_login", "eyebright_language"
_LONGEST_LIST = 200
_ERRORS = {
    "this patient code cannot be used": "error.code",
    "no picture was given": "error.no_picture",
    "this picture was already given for the other eye": "error.same_picture",
    "this picture is no longer in the camera's folder": "error.gone",
    "this file is too large for a picture": "error.too_large",
    "no such visit on this unit": "error.missing",
    "this visit has no such picture": "error.missing",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kiosk:
    """What the pages work with.

    Attributes:
        home: The unit.
        unit: Its name.
        desk: Holds the visits.
        inbox: Where the camera saves.
        technicians: Who may work here.
        logins: Who is in front of the screen.
        settings: What the clinic decides.
        clock: The present time, aware.
    """

    home: UnitHome
    unit: str
    desk: VisitDesk
    inbox: Inbox
    technicians: Technicians
    logins: Logins
    settings: KioskSettings
    clock: Callable[[], datetime]
    templates: jinja2.Environment = field(default_factory=lambda: _templates())


def kiosk_app(kiosk: Kiosk) -> Starlette:
    """Return the kiosk as an ASGI application."""
    pages = _Pages(kiosk)
    local = ("127.0.0.1", "::1", "localhost")
    names = (*local, *kiosk.settings.names, *(() if is_loopback(kiosk.settings.host) else (kiosk.settings.host,)))
    return Starlette(
        routes=[
            Route("/lock", pages.lock_page),
            Route("/lock", pages.lock, methods=["POST"]),
            Route("/unlock", pages.unlock, methods=["POST"]),
            Route("/language", pages.choose_language, methods=["POST"]),
            Route("/palette.css", lambda _: Response(palette_css(), media_type="text/css")),
            Mount("/static", StaticFiles(packages=[("eyebright_edge.kiosk", "static")])),
            Route("/", pages.known(pages.today)),
            Route("/alive", pages.known(pages.alive), methods=["POST"]),
            Route("/visit/new", pages.known(pages.new)),
            Route("/visit/new", pages.known(pages.open_visit), methods=["POST"]),
            Route("/visit/{number:int}", pages.known(pages.visit)),
            Route("/visit/{number:int}/checklist", pages.known(pages.checklist), methods=["POST"]),
            Route("/visit/{number:int}/picture", pages.known(pages.picture), methods=["POST"]),
            Route("/visit/{number:int}/skip", pages.known(pages.skip), methods=["POST"]),
            Route("/visit/{number:int}/waiting", pages.known(pages.waiting, person=False)),
            Route("/visit/{number:int}/clinician", pages.known(pages.clinician)),
            Route("/visit/{number:int}/printed", pages.known(pages.printed), methods=["POST"]),
            Route("/visit/{number:int}/report.pdf", pages.known(pages.report), methods=["POST"]),
            Route("/visit/{number:int}/{kind:str}/{sha256:str}", pages.known(pages.shown)),
            Route("/inbox/{key:str}", pages.known(pages.inbox_picture)),
            Route("/inbox/{key:str}/aside", pages.known(pages.put_aside), methods=["POST"]),
            Route("/history", pages.known(pages.history)),
            Route("/unit", pages.known(pages.unit)),
            Route("/leaves", pages.known(pages.leaves)),
        ],
        middleware=[Middleware(Guard, names=names)],
        exception_handlers={404: pages.missing, 405: pages.missing},
    )


class _Pages:
    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk

    def known(self, page: Page, *, person: bool = True) -> Page:
        """Return a page that only a technician sees; what goes wrong on it is said in the technician's language."""

        async def guarded(request: Request) -> Response:
            technician = self._kiosk.logins.technician(request.cookies.get(_LOGIN), person=person)
            if technician is None:
                if not person:
                    return Response(status_code=401)
                paused = "&paused=1" if _LOGIN in request.cookies else ""
                back = request.url.path if request.method == "GET" else "/"
                return RedirectResponse(f"/lock?next={back}{paused}", status_code=303)
            request.state.technician = technician
            try:
                return await page(request)
            except EyebrightError as error:
                return self._sorry(request, error)

        return guarded

    async def missing(self, request: Request, _: Exception) -> Response:
        return self._render(request, "error", status=404, message=self._words(request)("error.missing"))

    async def lock_page(self, request: Request) -> Response:
        self._kiosk.logins.end(request.cookies.get(_LOGIN))
        return self._locked(request, paused="paused" in request.query_params)

    async def lock(self, request: Request) -> Response:
        self._kiosk.logins.end(request.cookies.get(_LOGIN))
        answer = RedirectResponse("/lock", status_code=303)
        answer.delete_cookie(_LOGIN)
        return answer

    async def unlock(self, request: Request) -> Response:
        form = await _form(request)
        name, now = form.get("technician", ""), self._kiosk.clock().timestamp()
        technicians, words = self._kiosk.technicians, self._words(request)
        pause = technicians.pause_s(name, now=now)
        if not pause and await run_in_threadpool(technicians.check, name, form.get("pin", ""), now=now):
            return self._unlocked(request, name, _own_path(form.get("next", "")))
        pause = pause or technicians.pause_s(name, now=now)
        left = technicians.tries_left(name)
        problem = words("lock.pause", seconds=pause) if pause else words("lock.wrong", left=left)
        return self._locked(request, problem=problem, name=name, next_path=form.get("next", ""))

    async def choose_language(self, request: Request) -> Response:
        form = await _form(request)
        answer = RedirectResponse(_own_path(form.get("next", "")), status_code=303)
        if form.get("language") in {language.code for language in LANGUAGES}:
            answer.set_cookie(_LANGUAGE, form["language"], max_age=31536000, httponly=True, samesite="strict")
        return answer

    async def alive(self, request: Request) -> Response:
        return Response(status_code=204)

    async def today(self, request: Request) -> Response:
        day = self._kiosk.clock().astimezone().date()
        visits = await run_in_threadpool(self._kiosk.desk.visits)
        recent = [visit for visit in visits if datetime.fromisoformat(visit.opened_at).astimezone().date() == day]
        rows = self._rows(request, [visit for visit in recent if visit.answer is not None])
        unfinished = self._rows(request, [visit for visit in visits if visit.answer is None][-20:])
        ready, problem = _ready(self._kiosk.home)
        return self._render(request, "today", done=rows, unfinished=unfinished, ready=ready, problem=problem)

    async def new(self, request: Request) -> Response:
        return self._render(request, "new", steps=views.steps_view(None), code="")

    async def open_visit(self, request: Request) -> Response:
        form, technician = await _form(request), request.state.technician
        try:
            opened = await run_in_threadpool(
                self._kiosk.desk.open, patient=form.get("patient", ""), technician=technician
            )
        except InputError as error:
            if error.what not in _ERRORS:
                raise
            problem = self._words(request)(_ERRORS[error.what])
            return self._render(
                request, "new", status=422, steps=views.steps_view(None), code=form.get("patient", ""), problem=problem
            )
        return _to_visit(opened)

    async def visit(self, request: Request) -> Response:
        number = request.path_params["number"]
        visit = await run_in_threadpool(self._kiosk.desk.resume, number)
        step = step_of(visit)
        if step is Step.RESULT:
            return self._result(request, "result", visit)
        if step is Step.CHECKLIST:
            return self._checklist_page(request, visit, {})
        return self._take_page(request, visit, EYE_OF_STEP[step])

    async def checklist(self, request: Request) -> Response:
        number, form = request.path_params["number"], await _form(request)
        visit = self._kiosk.desk.visit(number)
        if step_of(visit) is not Step.CHECKLIST:
            return _to_visit(number)
        try:
            await run_in_threadpool(self._kiosk.desk.answer_checklist, number, form)
        except InputError as error:
            if error.value not in QUESTIONS:
                raise
            return self._checklist_page(request, visit, form, wrong=str(error.value))
        return _to_visit(number)

    async def picture(self, request: Request) -> Response:
        number, desk = request.path_params["number"], self._kiosk.desk
        async with request.form(max_files=1) as form:
            eye, key, upload = _eye(str(form.get("eye"))), str(form.get("inbox", "")), form.get("file")
            if key:
                name, data = await run_in_threadpool(self._kiosk.inbox.read, key)
            elif isinstance(upload, UploadFile):
                name, data = upload.filename or "picture", await upload.read()
            else:
                name, data = "", b""
        visit = desk.visit(number)
        if EYE_OF_STEP.get(step_of(visit)) is not eye:
            return _to_visit(number)
        try:
            await run_in_threadpool(desk.add_picture, number, eye, data, name=name)
        except InputError as error:
            if error.what not in _ERRORS:
                raise
            problem = self._words(request)(_ERRORS[error.what])
            return self._take_page(request, desk.visit(number), eye, problem=problem)
        if key:
            await run_in_threadpool(self._kiosk.inbox.drop, key)
        return _to_visit(number)

    async def skip(self, request: Request) -> Response:
        number, form = request.path_params["number"], await _form(request)
        eye = _eye(form.get("eye", ""))
        if EYE_OF_STEP.get(step_of(self._kiosk.desk.visit(number))) is eye:
            await run_in_threadpool(self._kiosk.desk.skip_eye, number, eye)
        return _to_visit(number)

    async def waiting(self, request: Request) -> Response:
        visit = self._kiosk.desk.visit(request.path_params["number"])
        eye = EYE_OF_STEP.get(step_of(visit))
        if eye is None:
            return Response(status_code=204)
        return self._render(request, "waiting", **self._offered(visit, eye, self._words(request)))

    async def clinician(self, request: Request) -> Response:
        return self._result(request, "clinician", self._kiosk.desk.visit(request.path_params["number"]))

    async def printed(self, request: Request) -> Response:
        self._export(request, "print")
        return Response(status_code=204)

    async def report(self, request: Request) -> Response:
        from eyebright_edge.reports.clinic import read_clinic
        from eyebright_edge.reports.pdf_report import pdf_report

        number, language = request.path_params["number"], self._words(request).language.code
        result = self._kiosk.desk.result(number)
        clinic = read_clinic(self._kiosk.home.root)
        data = await run_in_threadpool(pdf_report, result, clinic=clinic, language=language)
        self._export(request, "pdf")
        name = f'attachment; filename="visit-{number}.pdf"'
        return Response(data, media_type="application/pdf", headers={"content-disposition": name})

    async def shown(self, request: Request) -> Response:
        number, kind, sha256 = (request.path_params[name] for name in ("number", "kind", "sha256"))
        try:
            if kind == "thumbnail":
                data = await run_in_threadpool(self._kiosk.desk.picture, number, sha256)
                return Response(await run_in_threadpool(thumbnail, data, name=sha256), media_type="image/jpeg")
            seen, attention = await run_in_threadpool(self._kiosk.desk.looked_at, number, sha256)
        except EyebrightError:
            return Response(status_code=404)
        return Response(looked_png(seen, attention) if kind == "looked" else seen_png(seen), media_type="image/png")

    async def inbox_picture(self, request: Request) -> Response:
        try:
            name, data = await run_in_threadpool(self._kiosk.inbox.read, request.path_params["key"])
            return Response(await run_in_threadpool(thumbnail, data, name=name), media_type="image/jpeg")
        except (ImageError, InputError):
            return Response(status_code=404)

    async def put_aside(self, request: Request) -> Response:
        form = await _form(request)
        await run_in_threadpool(self._kiosk.inbox.put_aside, request.path_params["key"])
        return RedirectResponse(_own_path(form.get("next", "")), status_code=303)

    async def history(self, request: Request) -> Response:
        asked = request.query_params.get("code", "").strip()
        visits = await run_in_threadpool(self._kiosk.desk.visits)
        found = [one for one in visits if asked.lower() in str(one.about.get("patient", "")).lower()]
        return self._render(request, "history", rows=self._rows(request, found[-_LONGEST_LIST:]), asked=asked)

    async def unit(self, request: Request) -> Response:
        health = health_of(self._kiosk.home.root)
        facts = await run_in_threadpool(unit_view, self._kiosk.home, health, self._words(request))
        return self._render(request, "unit", software=__version__, **facts)

    async def leaves(self, request: Request) -> Response:
        facts = await run_in_threadpool(leaves_view, self._kiosk.home, self._words(request))
        return self._render(request, "leaves", sent=facts)

    def _export(self, request: Request, how: str) -> None:
        self._kiosk.desk.export(request.path_params["number"], how=how, technician=request.state.technician)

    def _rows(self, request: Request, visits: list[Visit]) -> list[views.VisitRow]:
        words = self._words(request)
        return [views.row_of(visit, visit_result(visit), words) for visit in reversed(visits)]

    def _result(self, request: Request, page: str, visit: Visit) -> Response:
        words = self._words(request)
        result = visit_result(visit, unit=self._kiosk.unit)
        return self._render(
            request,
            page,
            steps=views.steps_view(Step.RESULT),
            result=result,
            answer=views.answer_view(result, words),
            eyes=[views.eye_view(eye, result, words) for eye in result.eyes],
            camera=views.camera_line(result, words),
            threshold=views.threshold_line(result, words),
        )

    def _checklist_page(
        self, request: Request, visit: Visit, given: Mapping[str, str], *, wrong: str | None = None
    ) -> Response:
        words = self._words(request)
        problem = "" if wrong is None else words("error.question", question=words(f"check.{wrong}"))
        return self._render(
            request,
            "checklist",
            status=200 if wrong is None else 422,
            steps=views.steps_view(Step.CHECKLIST),
            visit=visit,
            questions=QUESTIONS,
            answers=ANSWERS,
            given=given,
            wrong=wrong,
            problem=problem,
        )

    def _take_page(self, request: Request, visit: Visit, eye: Eye, *, problem: str = "") -> Response:
        words = self._words(request)
        taken = sum(one["eye"] == eye for one in visit.pictures)
        offered = self._offered(visit, eye, words)
        return self._render(
            request,
            "take",
            status=422 if problem else 200,
            steps=views.steps_view(step_of(visit)),
            taken=taken,
            total=RETAKES,
            last=views.last_try(visit, eye, words),
            before=_before(visit, eye, words),
            problem=problem,
            **offered,
        )

    def _offered(self, visit: Visit, eye: Eye, words: Words) -> dict[str, Any]:
        opened = datetime.fromisoformat(visit.opened_at).timestamp()
        found = [_warned(one, opened, eye, words) for one in self._kiosk.inbox.waiting()]
        return {"visit": visit, "eye": eye, "eye_name": words(f"eye.{eye}"), "offered": found[:4]}

    def _locked(self, request: Request, **values: Any) -> Response:
        names = self._kiosk.technicians.names()
        values = {"paused": False, "problem": "", "name": names[0] if len(names) == 1 else "", **values}
        values.setdefault("next_path", request.query_params.get("next", ""))
        command = f"eyebright edge technician NAME --home {self._kiosk.home.root}"
        status = 403 if values["problem"] else 200
        return self._render(request, "lock", status=status, names=names, command=command, **values)

    def _unlocked(self, request: Request, name: str, path: str) -> Response:
        answer = RedirectResponse(path, status_code=303)
        secret = self._kiosk.logins.begin(name)
        answer.set_cookie(_LOGIN, secret, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return answer

    def _sorry(self, request: Request, error: EyebrightError) -> Response:
        words = self._words(request)
        known = _ERRORS.get(error.what)
        status = 404 if known == "error.missing" else 422
        message = words(known) if known else words("error.other")
        return self._render(request, "error", status=status, message=message, detail="" if known else str(error))

    def _words(self, request: Request) -> Words:
        chosen = request.cookies.get(_LANGUAGE, "")
        known = {language.code for language in LANGUAGES}
        return words_in(chosen if chosen in known else self._kiosk.settings.language)

    def _render(self, request: Request, page: str, *, status: int = 200, **values: Any) -> Response:
        technician = getattr(request.state, "technician", None)
        template = self._kiosk.templates.get_template(f"{page}.html.j2")
        text = template.render(
            t=self._words(request),
            languages=LANGUAGES,
            technician=technician,
            path=request.url.path if request.method == "GET" else "/",
            idle_lock_s=self._kiosk.settings.idle_lock_s if technician else 0,
            notices=self._kiosk.desk.notices(),
            unit_name=self._kiosk.unit,
            **values,
        )
        return HTMLResponse(text, status_code=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offered:
    """A picture on offer, with what a person should check about it."""

    key: str
    name: str
    warnings: tuple[str, ...]


def _warned(one: WaitingPicture, opened: float, eye: Eye, words: Words) -> _Offered:
    named = eye_in_name(one.name)
    warnings = {"take.older": one.saved_at < opened, "take.other_eye": named not in (eye, Eye.UNKNOWN)}
    return _Offered(key=one.key, name=one.name, warnings=tuple(words(key) for key, holds in warnings.items() if holds))


def _before(visit: Visit, eye: Eye, words: Words) -> str:
    """Return what became of the eye before this one, until this one has a picture."""
    earlier = [one for one in BOTH_EYES[: BOTH_EYES.index(eye)] if one in settled_eyes(visit)]
    if not earlier or any(one["eye"] == eye for one in visit.pictures):
        return ""
    gradable = any(one["eye"] == earlier[-1] and one["score"] is not None for one in visit.pictures)
    return words("take.accepted" if gradable else "take.settled", eye=words(f"eye.{earlier[-1]}"))


def _ready(home: UnitHome) -> tuple[bool, str]:
    try:
        return True, home.serving().notice
    except EyebrightError as error:
        return False, str(error)


async def _form(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=20) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def _eye(word: str) -> Eye:
    if word not in (Eye.RIGHT, Eye.LEFT):
        raise InputError("no such eye", value=word[:20], fix="Use the buttons of the page.")
    return Eye(word)


def _own_path(path: str) -> str:
    """Return a path on this unit, whatever was asked for."""
    own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if own else "/"


def _to_visit(number: int) -> Response:
    return RedirectResponse(f"/visit/{number}", status_code=303)


def _templates() -> jinja2.Environment:
    folder = files("eyebright_edge.kiosk").joinpath("templates")
    loader = jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8"))
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
