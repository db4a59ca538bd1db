"""The desk at which visits are held: each step is on disk before the next is offered.

::

    open → checklist ─(out of scope)→ closed
                │
                └→ right eye ⟲ retakes → left eye ⟲ retakes → closed

* There is no state but the journal. What comes next is computed from it, so a visit that power loss cut short goes on
  where it stood: ``resume`` finishes whatever step was begun, and finishing it twice changes nothing.
* A picture is stored, then noted, then judged. One that was noted and not judged is judged on resuming.
* A visit is answered by the release it was opened with, also when the unit has changed to a newer one meanwhile. Where
  that release is lost from the disk, the visit is bound to the one that serves, and every picture is judged again.
* While a visit is being held the unit's releases are not switched (``UnitHome.visiting``): until it is closed, another
  is turned to, or nobody has touched it for half an hour.
* A disk that cannot be written does not stop a visit (``records.forgiving``); ``notices`` says so.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from eyebright_common.errors import EyebrightError, ImageError, InputError
from eyebright_common.release import BOTH_EYES, Eye
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.records import ForgivingJournal, ForgivingPictures, JournalLike, PictureStore, Visit, VisitJournal
from eyebright_edge.runtime import FloatArray
from eyebright_edge.screening.advice import REFER_DAYS, RESCREEN_MONTHS
from eyebright_edge.screening.camera import camera_in_file
from eyebright_edge.screening.checklist import checked_answers, scope_of
from eyebright_edge.screening.facts import opened_facts, record_facts, recorded_picture
from eyebright_edge.screening.picture import ScreenedPicture, refused_picture, screen_picture
from eyebright_edge.screening.release import ServingRelease, open_release
from eyebright_edge.screening.results import settled_eyes, visit_result
from eyebright_edge.screening.visit_result import VisitResult

LONGEST_CODE = 64
HELD_S = 1800.0


class Step(StrEnum):
    """What a visit waits for."""

    CHECKLIST = "checklist"
    RIGHT = "right"
    LEFT = "left"
    RESULT = "result"


EYE_OF_STEP: Mapping[Step, Eye] = {Step.RIGHT: Eye.RIGHT, Step.LEFT: Eye.LEFT}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskRules:
    """What the clinic decides about its visits.

    Attributes:
        camera: The camera that is plugged in here, for pictures that do not name theirs.
        refer_days: By when a referred patient is to be seen.
        rescreen_months: When to come again after a negative answer.
    """

    camera: str = ""
    refer_days: int = REFER_DAYS
    rescreen_months: int = RESCREEN_MONTHS


def step_of(visit: Visit) -> Step:
    """Return what a visit waits for."""
    if visit.answer is not None:
        return Step.RESULT
    if visit.checklist is None:
        return Step.CHECKLIST
    if scope_of(visit.checklist).stopped:
        return Step.RESULT
    settled = settled_eyes(visit)
    waiting = [step for step, eye in EYE_OF_STEP.items() if eye not in settled]
    return waiting[0] if waiting else Step.RESULT


class VisitDesk:
    """Holds the visits of one unit; safe to use from several threads.

    Args:
        home: The unit.
        clock: The present time, aware.
        pictures: Where pictures lie.
        journal: Where the steps of visits are written.
        rules: What the clinic decides.
        unit: The unit's name.
    """

    def __init__(
        self,
        home: UnitHome,
        *,
        clock: Callable[[], datetime],
        pictures: PictureStore,
        journal: JournalLike,
        rules: DeskRules | None = None,
        unit: str = "",
    ) -> None:
        self._home, self._unit, self._rules = home, unit, rules or DeskRules()
        self._journal = ForgivingJournal(journal)
        self._visits = VisitJournal(home.visits_file, clock, journal=self._journal)
        self._pictures = ForgivingPictures(pictures)
        self._opened: dict[str, ServingRelease] = {}
        self._busy = threading.RLock()
        self._held = _Held(home)

    def open(self, *, patient: str, technician: str = "") -> int:
        """Begin a visit with the release that serves now and return its number.

        Raises:
            InputError: the code cannot be used, or the unit has nothing to screen with.
        """
        code = patient.strip()
        if not code or len(code) > LONGEST_CODE or not code.isprintable():
            shown = code[:LONGEST_CODE]
            raise InputError("this patient code cannot be used", value=shown, fix="Type or scan it again.")
        with self._busy:
            serving = self._home.serving()
            release = self._release(serving.release.version).release
            about = opened_facts(release, camera=self._rules.camera)
            limits = {"refer_days": self._rules.refer_days, "rescreen_months": self._rules.rescreen_months}
            number = self._visits.open(release=release.version, patient=code, technician=technician, **about, **limits)
            self._held.keep(number)
            return number

    def answer_checklist(self, number: int, given: Mapping[str, str]) -> Visit:
        """Record the answers; an out-of-scope one closes the visit.

        Raises:
            InputError: there is no such visit, it waits for something else, or an answer is missing.
        """
        with self._busy:
            visit = self._waiting(number, Step.CHECKLIST)
            answers = checked_answers(given)
            if visit.checklist is None:
                self._visits.answer_checklist(number, answers)
            return self.resume(number)

    def add_picture(self, number: int, eye: Eye, picture: bytes, *, name: str) -> ScreenedPicture:
        """Store a picture, judge it, and close the visit when it was the last one needed.

        Args:
            number: The visit.
            eye: Which eye it shows; the one the visit waits for.
            picture: The bytes of the file.
            name: What the file is called; kept here, never sent.

        Raises:
            InputError: the visit does not wait for this eye, or the same picture was given for the other one.
        """
        if not picture:
            raise InputError("no picture was given", fix="Choose a picture.")
        with self._busy:
            visit = self._visits.visit(number)
            digest = hashlib.sha256(picture).hexdigest()
            before = next((one for one in visit.received if one["sha256"] == digest), None)
            if before is not None and before["eye"] != eye:
                raise InputError("this picture was already given for the other eye", fix="Take a new one.")
            if before is None:
                step = next(step for step, wanted in EYE_OF_STEP.items() if wanted is eye)
                self._waiting(number, step)
                self._pictures.put(number, picture)
                self._visits.receive(number, {"eye": eye.value, "sha256": digest, "name": name})
            judged = self.resume(number).pictures
            return recorded_picture(next(one for one in judged if one["sha256"] == digest))

    def skip_eye(self, number: int, eye: Eye) -> Visit:
        """Record that an eye cannot be photographed; it is MISSING, so the answer cannot be a negative."""
        with self._busy:
            visit = self._visits.visit(number)
            if visit.answer is None and eye.value not in visit.skipped:
                self._waiting(number, next(step for step, wanted in EYE_OF_STEP.items() if wanted is eye))
                self._visits.skip(number, eye.value)
            return self.resume(number)

    def resume(self, number: int) -> Visit:
        """Finish whatever step was begun, and return the visit; doing it again changes nothing.

        Raises:
            InputError: there is no such visit.
            ReleaseError: neither its release nor another can be opened.
        """
        with self._busy:
            visit = self._visits.visit(number)
            if visit.answer is not None:
                return visit
            self._held.keep(number)
            visit = self._bound(visit)
            self._judge_received(visit)
            visit = self._visits.visit(number)
            if step_of(visit) is Step.RESULT:
                self._visits.close(number, self._answer(visit))
                self._held.let_go()
                visit = self._visits.visit(number)
            return visit

    def visits(self) -> tuple[Visit, ...]:
        """Return all visits, oldest first."""
        return self._visits.visits()

    def visit(self, number: int) -> Visit:
        """Return one visit as it is recorded.

        Raises:
            InputError: there is none of that number.
        """
        return self._visits.visit(number)

    def result(self, number: int) -> VisitResult:
        """Return what a visit has come to."""
        return visit_result(self._visits.visit(number), unit=self._unit, notices=self.notices())

    def export(self, number: int, *, how: str, technician: str) -> None:
        """Record that somebody printed or saved the answer."""
        with self._busy:
            self._pictures.settle()
            self._visits.export(number, {"how": how, "technician": technician})

    def notices(self) -> tuple[str, ...]:
        """Return what a person must know about the records, in English; empty when all is well."""
        problem = self._journal.problem or self._pictures.problem
        return (f"This visit is not fully on record: {problem}. Write the answer down.",) if problem else ()

    def picture(self, number: int, sha256: str) -> bytes:
        """Return the file of a picture of a visit.

        Raises:
            InputError: it is not one of this visit's, or it is gone.
        """
        if all(one["sha256"] != sha256 for one in self._visits.visit(number).received):
            raise InputError("this visit has no such picture", value=sha256[:12])
        return self._pictures.get(number, sha256)

    def looked_at(self, number: int, sha256: str) -> tuple[npt.NDArray[np.uint8], FloatArray]:
        """Return what the network saw of a picture and where it looked, uint8 ``[S, S, 3]`` and 0–1 ``[h, w]``.

        Raises:
            InputError: the picture was not judged, or the release that judged it has left this unit.
        """
        with self._busy:
            visit = self._visits.visit(number)
            data = self.picture(number, sha256)
            opened = self._release(visit.release)
            if opened.release.version != visit.release:
                raise InputError("the release that answered is no longer on this unit", value=visit.release)
            screened = screen_picture(opened.runtime, opened.release, data, name=sha256)
        if screened.prepared is None or screened.attention is None:
            raise InputError("the network was not asked about this picture", value=sha256[:12])
        return screened.prepared, screened.attention

    def _waiting(self, number: int, step: Step) -> Visit:
        visit = self._visits.visit(number)
        if step_of(visit) is not step:
            raise InputError("this visit is at another step", value=step_of(visit).value, fix="Go on from there.")
        return visit

    def _bound(self, visit: Visit) -> Visit:
        """Return the visit with a release that can be opened."""
        if self._available(visit.release):
            return visit
        release = self._release(self._home.serving().release.version).release
        self._visits.rebind(visit.number, release=release.version, **opened_facts(release, camera=self._rules.camera))
        return self._visits.visit(visit.number)

    def _available(self, version: str) -> bool:
        try:
            self._release(version)
        except EyebrightError:
            return False
        return True

    def _release(self, version: str) -> ServingRelease:
        if version not in self._opened:
            opened = open_release(self._home.release_folder(version))
            # One at a time in memory, and the one before it while its visit may still be open.
            self._opened = {**dict(list(self._opened.items())[-1:]), version: opened}
        return self._opened[version]

    def _judge_received(self, visit: Visit) -> None:
        judged = {one.get("sha256") for one in visit.pictures}
        waiting = [one for one in visit.received if one["sha256"] not in judged]
        for one in waiting:
            screened = self._screened(visit, one)
            self._visits.add_picture(visit.number, record_facts(screened, sha256=one["sha256"]))

    def _screened(self, visit: Visit, received: Mapping[str, Any]) -> ScreenedPicture:
        opened, eye, name = self._release(visit.release), Eye(received["eye"]), str(received["name"])
        try:
            data = self._pictures.get(visit.number, received["sha256"])
            screened = screen_picture(opened.runtime, opened.release, data, eye=eye, name=name)
            camera = camera_in_file(data) or self._rules.camera
        except ImageError as error:
            screened, camera = refused_picture(error, name=name, eye=eye), ""
        except InputError:
            lost = ImageError("missing_file", name=name, fix="Take it again.")
            screened, camera = refused_picture(lost, name=name, eye=eye), ""
        return replace(screened, sha256=received["sha256"], camera=camera)

    def _answer(self, visit: Visit) -> dict[str, Any]:
        result = visit_result(visit)
        stopped = {"stopped": result.stopped} if result.stopped else {"verdict": str(result.verdict)}
        due = result.due and result.due.isoformat()
        return {**stopped, "score": result.score, "reasons": list(result.reasons), "advice": result.advice, "due": due}


class _Held:
    """Keeps the unit's releases from being switched while one visit is being held."""

    def __init__(self, home: UnitHome) -> None:
        self._home, self._number = home, 0
        self._stack = ExitStack()
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def keep(self, number: int) -> None:
        """Hold this visit, and let go of any other."""
        with self._lock:
            if self._number != number:
                self._stack.close()
                self._stack.enter_context(self._home.visiting())
                self._number = number
            self._stop_timer()
            self._timer = threading.Timer(HELD_S, self.let_go)
            self._timer.daemon = True
            self._timer.start()

    def let_go(self) -> None:
        """Hold no visit any more."""
        with self._lock:
            self._stop_timer()
            self._stack.close()
            self._number = 0

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


assert set(EYE_OF_STEP.values()) == set(BOTH_EYES)
