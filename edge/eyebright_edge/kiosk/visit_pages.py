"""The pages of one visit, from the patient's code to the result.

A form does its one step at the desk and sends the browser to the visit, which shows whatever comes next: reloading,
going back, tapping twice or pulling the plug never does a step twice, and a step that another browser has done already
is not done again. Work at the desk runs in a thread, so that a page of one browser does not wait for a picture of
another.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from eyebright_common.errors import EyebrightError, InputError
from eyebright_common.release import BOTH_EYES, Eye
from eyebright_edge.catalogues import Words
from eyebright_edge.kiosk import views
from eyebright_edge.kiosk.frame import ERRORS, Frame, form_of
from eyebright_edge.kiosk.inbox import WaitingPicture
from eyebright_edge.kiosk.pictures import looked_png, seen_eyes, seen_png, thumbnail
from eyebright_edge.records import Visit
from eyebright_edge.screening.checklist import ANSWERS, QUESTIONS
from eyebright_edge.screening.desk import EYE_OF_STEP, Step, step_of
from eyebright_edge.screening.results import settled_eyes, visit_result
from eyebright_edge.screening.retakes import RETAKES
from eyebright_edge.screening.visit import eye_in_name

_MOST_FORMS = 32


class VisitPages:
    """The pages of one visit."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.kiosk = frame, frame.kiosk
        self._opened: dict[str, int] = {}
        self._opening = threading.Lock()

    async def new(self, request: Request) -> Response:
        """Ask for the patient's code."""
        return self._new_page(request)

    async def open_visit(self, request: Request) -> Response:
        """Open a visit."""
        form, technician = await form_of(request), request.state.technician
        code, once = form.get("patient", ""), form.get("once", "")
        try:
            number = await run_in_threadpool(self._open_once, once, code, technician)
        except InputError as error:
            if error.what not in ERRORS:
                raise
            return self._new_page(request, code=code, problem=self.frame.words(request)(ERRORS[error.what]))
        return to_visit(number)

    def _open_once(self, once: str, code: str, technician: str) -> int:
        """Open a visit and return its number; for the same form and code again, the number of the one it opened."""
        # A digest: no code stays in this memory when the screen locks.
        form = hashlib.sha256(f"{once}\0{code}".encode()).hexdigest() if once else secrets.token_hex()
        with self._opening:
            if form not in self._opened:
                number = self.kiosk.desk.open(patient=code, technician=technician)
                self._opened = {**dict(list(self._opened.items())[-_MOST_FORMS:]), form: number}
            return self._opened[form]

    async def visit(self, request: Request) -> Response:
        """Show what comes next in a visit."""
        number = request.path_params["number"]
        visit = await run_in_threadpool(self.kiosk.desk.resume, number)
        step = step_of(visit)
        if step is Step.RESULT:
            return self._result(request, "result", visit)
        if step is Step.CHECKLIST:
            return self._checklist_page(request, visit, {})
        return self._take_page(request, visit, EYE_OF_STEP[step])

    async def checklist(self, request: Request) -> Response:
        """Take the answers to the questions."""
        number, form = request.path_params["number"], await form_of(request)
        visit = self.kiosk.desk.visit(number)
        if step_of(visit) is not Step.CHECKLIST:
            return to_visit(number)
        try:
            await run_in_threadpool(self.kiosk.desk.answer_checklist, number, form)
        except InputError as error:
            if error.value not in QUESTIONS:
                raise
            return self._checklist_page(request, visit, form, wrong=str(error.value))
        return to_visit(number)

    async def picture(self, request: Request) -> Response:
        """Take one picture of an eye, from the camera's folder or the form."""
        number, desk = request.path_params["number"], self.kiosk.desk
        async with request.form(max_files=1) as form:
            eye, key, upload = _eye(str(form.get("eye"))), str(form.get("inbox", "")), form.get("file")
            name, data = "", b""
            if isinstance(upload, UploadFile):
                name, data = upload.filename or "picture", await upload.read()
        visit = desk.visit(number)
        if EYE_OF_STEP.get(step_of(visit)) is not eye:
            return to_visit(number)
        try:
            if key:
                name, data = await run_in_threadpool(self.kiosk.inbox.read, key)
            await run_in_threadpool(desk.add_picture, number, eye, data, name=name)
        except InputError as error:
            if error.what not in ERRORS:
                raise
            visit = desk.visit(number)
            if EYE_OF_STEP.get(step_of(visit)) is not eye:
                return to_visit(number)
            return self._take_page(request, visit, eye, problem=self.frame.words(request)(ERRORS[error.what]))
        if key:
            await run_in_threadpool(self.kiosk.inbox.drop, key)
        return to_visit(number)

    async def skip(self, request: Request) -> Response:
        """Go on without a gradable picture of an eye."""
        number, form = request.path_params["number"], await form_of(request)
        eye = _eye(form.get("eye", ""))
        if EYE_OF_STEP.get(step_of(self.kiosk.desk.visit(number))) is eye:
            await run_in_threadpool(self.kiosk.desk.skip_eye, number, eye)
        return to_visit(number)

    async def waiting(self, request: Request) -> Response:
        """Show the pictures that wait in the camera's folder."""
        visit = self.kiosk.desk.visit(request.path_params["number"])
        eye = EYE_OF_STEP.get(step_of(visit))
        if eye is None:
            return Response(status_code=204)
        return self.frame.render(request, "waiting", **self._offered(visit, eye, self.frame.words(request)))

    async def clinician(self, request: Request) -> Response:
        """Show where the model looked."""
        return self._result(request, "clinician", self.kiosk.desk.visit(request.path_params["number"]))

    async def printed(self, request: Request) -> Response:
        """Note that the result was printed."""
        self._export(request, "print")
        return Response(status_code=204)

    async def report(self, request: Request) -> Response:
        """Hand out the result as a PDF."""
        from eyebright_edge.reports.clinic import read_clinic
        from eyebright_edge.reports.pdf_report import pdf_report

        number, language = request.path_params["number"], self.frame.words(request).language.code
        result = self.kiosk.desk.result(number)
        clinic = read_clinic(self.kiosk.home.root)

        def page() -> bytes:
            return pdf_report(result, clinic=clinic, language=language, seen=seen_eyes(self.kiosk.desk, result))

        data = await run_in_threadpool(page)
        self._export(request, "pdf")
        return _saved(data, f"visit-{number}.pdf", "application/pdf")

    async def bundle(self, request: Request) -> Response:
        """Hand out the result as a FHIR bundle, for the clinic's record system."""
        from eyebright_edge.reports.clinic import read_clinic
        from eyebright_edge.reports.fhir_report import bundle_bytes, fhir_bundle

        number = request.path_params["number"]
        clinic = read_clinic(self.kiosk.home.root)
        data = bundle_bytes(fhir_bundle(self.kiosk.desk.result(number), clinic=clinic.name))
        self._export(request, "fhir")
        return _saved(data, f"visit-{number}.fhir.json", "application/fhir+json")

    async def shown(self, request: Request) -> Response:
        """Show a picture of the visit: small, as it was seen, or with what the model looked at."""
        number, kind, sha256 = (request.path_params[name] for name in ("number", "kind", "sha256"))
        try:
            if kind == "thumbnail":
                data = await run_in_threadpool(self.kiosk.desk.picture, number, sha256)
                return Response(await run_in_threadpool(thumbnail, data, name=sha256), media_type="image/jpeg")
            seen, attention = await run_in_threadpool(self.kiosk.desk.looked_at, number, sha256)
        except EyebrightError:
            return Response(status_code=404)
        return Response(looked_png(seen, attention) if kind == "looked" else seen_png(seen), media_type="image/png")

    def _new_page(self, request: Request, *, code: str = "", problem: str = "") -> Response:
        # The form can open one visit only: two taps on its button are one.
        once = secrets.token_urlsafe(8)
        status, steps = 422 if problem else 200, views.steps_view(None)
        return self.frame.render(request, "new", status=status, steps=steps, code=code, problem=problem, once=once)

    def _export(self, request: Request, how: str) -> None:
        self.kiosk.desk.export(request.path_params["number"], how=how, technician=request.state.technician)

    def _result(self, request: Request, page: str, visit: Visit) -> Response:
        words = self.frame.words(request)
        result = visit_result(visit, unit=self.kiosk.unit)
        return self.frame.render(
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
        words = self.frame.words(request)
        problem = "" if wrong is None else words("error.question", question=words(f"check.{wrong}"))
        return self.frame.render(
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
        words = self.frame.words(request)
        taken = sum(one["eye"] == eye for one in visit.pictures)
        offered = self._offered(visit, eye, words)
        return self.frame.render(
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
        found = [_warned(one, opened, eye, words) for one in self.kiosk.inbox.waiting()]
        return {"visit": visit, "eye": eye, "eye_name": words(f"eye.{eye}"), "offered": found[:4]}


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


def _eye(word: str) -> Eye:
    if word not in (Eye.RIGHT, Eye.LEFT):
        raise InputError("no such eye", value=word[:20], fix="Use the buttons of the page.")
    return Eye(word)


def _saved(data: bytes, name: str, kind: str) -> Response:
    """Return a file for the browser to save; its name is no patient's."""
    return Response(data, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def to_visit(number: int) -> Response:
    """Return the way to the visit's page."""
    return RedirectResponse(f"/visit/{number}", status_code=303)
