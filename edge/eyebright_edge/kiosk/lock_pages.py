"""The lock: who is in front of the screen, and in which language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from eyebright_common.errors import EyebrightError
from eyebright_edge.catalogues import LANGUAGES
from eyebright_edge.kiosk.frame import LANGUAGE, LOGIN, Frame, form_of, own_path

_KEY_FILE_ALONE = "only a key file opens them. Name it in kiosk.json: records_key."


class LockPages:
    """The pages that anybody sees."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.kiosk = frame, frame.kiosk

    async def lock_page(self, request: Request) -> Response:
        """Show who may unlock the screen; whoever was there is gone."""
        self.kiosk.logins.end(request.cookies.get(LOGIN))
        return self._locked(request, paused="paused" in request.query_params)

    async def lock(self, request: Request) -> Response:
        """Lock the screen."""
        self.kiosk.logins.end(request.cookies.get(LOGIN))
        answer = RedirectResponse("/lock", status_code=303)
        answer.delete_cookie(LOGIN)
        return answer

    async def unlock(self, request: Request) -> Response:
        """Let a technician in who knows the PIN."""
        form = await form_of(request)
        name, now = form.get("technician", ""), self.kiosk.clock().timestamp()
        technicians, words = self.kiosk.technicians, self.frame.words(request)
        pause = technicians.pause_s(name, now=now)
        if not pause and await run_in_threadpool(technicians.check, name, form.get("pin", ""), now=now):
            return await self._opened(request, name, form)
        pause = pause or technicians.pause_s(name, now=now)
        left = technicians.tries_left(name)
        problem = words("lock.pause", seconds=pause) if pause else words("lock.wrong", left=left)
        return self._locked(request, problem=problem, name=name, next_path=form.get("next", ""))

    async def choose_language(self, request: Request) -> Response:
        """Change the language of this screen."""
        form = await form_of(request)
        answer = RedirectResponse(own_path(form.get("next", "")), status_code=303)
        if form.get("language") in {language.code for language in LANGUAGES}:
            answer.set_cookie(LANGUAGE, form["language"], max_age=31536000, httponly=True, samesite="strict")
        return answer

    async def _opened(self, request: Request, name: str, form: Mapping[str, str]) -> Response:
        """Open the records for somebody whose PIN is right, or say what else it takes."""
        records, technicians, words = self.kiosk.records, self.kiosk.technicians, self.frame.words(request)
        colleague, pin, next_path = form.get("colleague", ""), form.get("pin", ""), form.get("next", "")
        now = self.kiosk.clock().timestamp()
        try:
            let_in = await run_in_threadpool(records.unlock, name, pin)
            if not let_in and colleague:
                by_pin = form.get("colleague_pin", "")
                let_in = await run_in_threadpool(records.introduce, name, pin, by=colleague, by_pin=by_pin)
        except EyebrightError as error:
            problem = f"{words('lock.records')} {error}"
            return self._locked(request, problem=problem, name=name, next_path=next_path)
        if let_in:
            technicians.let_in(name)
            return self._unlocked(request, name, own_path(next_path))
        problem, openers = words("lock.colleague"), records.openers()
        if not openers:
            problem = f"{words('lock.records')} {_KEY_FILE_ALONE}"
        elif colleague:
            technicians.count_wrong(name, now=now)
            problem = words("lock.colleague_wrong", left=technicians.tries_left(name))
        return self._locked(request, problem=problem, name=name, next_path=next_path, colleagues=openers)

    def _locked(self, request: Request, **values: Any) -> Response:
        names = self.kiosk.technicians.names()
        values = {
            "paused": False,
            "problem": "",
            "colleagues": (),
            "name": names[0] if len(names) == 1 else "",
            **values,
        }
        values.setdefault("next_path", request.query_params.get("next", ""))
        command = f"eyebright edge technician NAME --home {self.kiosk.home.root}"
        status = 403 if values["problem"] else 200
        return self.frame.render(request, "lock", status=status, names=names, command=command, **values)

    def _unlocked(self, request: Request, name: str, path: str) -> Response:
        answer = RedirectResponse(path, status_code=303)
        secret = self.kiosk.logins.begin(name)
        answer.set_cookie(LOGIN, secret, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return answer
