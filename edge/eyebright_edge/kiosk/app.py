"""The kiosk as an application: which page stands at which address, and who is let in."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from eyebright_edge.kiosk.frame import Frame, Kiosk
from eyebright_edge.kiosk.guard import Guard
from eyebright_edge.kiosk.inbox import LARGEST_BYTES
from eyebright_edge.kiosk.lock_pages import LockPages
from eyebright_edge.kiosk.overview_pages import OverviewPages
from eyebright_edge.kiosk.palette import palette_css
from eyebright_edge.kiosk.settings import is_loopback
from eyebright_edge.kiosk.visit_pages import VisitPages


def kiosk_app(kiosk: Kiosk) -> Starlette:
    """Return the kiosk as an ASGI application."""
    # A picture from the browser must not be laid down in the open first, in a temporary file.
    MultiPartParser.spool_max_size = LARGEST_BYTES
    frame = Frame(kiosk)
    lock, visits, overview = LockPages(frame), VisitPages(frame), OverviewPages(frame)
    local = ("127.0.0.1", "::1", "localhost")
    names = (*local, *kiosk.settings.names, *(() if is_loopback(kiosk.settings.host) else (kiosk.settings.host,)))
    return Starlette(
        routes=[
            Route("/lock", lock.lock_page),
            Route("/lock", lock.lock, methods=["POST"]),
            Route("/unlock", lock.unlock, methods=["POST"]),
            Route("/language", lock.choose_language, methods=["POST"]),
            Route("/palette.css", lambda _: Response(palette_css(), media_type="text/css")),
            Mount("/static", StaticFiles(packages=[("eyebright_edge.kiosk", "static")])),
            Route("/", frame.known(overview.today)),
            Route("/alive", frame.known(overview.alive), methods=["POST"]),
            Route("/visit/new", frame.known(visits.new)),
            Route("/visit/new", frame.known(visits.open_visit), methods=["POST"]),
            Route("/visit/{number:int}", frame.known(visits.visit)),
            Route("/visit/{number:int}/checklist", frame.known(visits.checklist), methods=["POST"]),
            Route("/visit/{number:int}/picture", frame.known(visits.picture), methods=["POST"]),
            Route("/visit/{number:int}/skip", frame.known(visits.skip), methods=["POST"]),
            Route("/visit/{number:int}/waiting", frame.known(visits.waiting, person=False)),
            Route("/visit/{number:int}/clinician", frame.known(visits.clinician)),
            Route("/visit/{number:int}/printed", frame.known(visits.printed), methods=["POST"]),
            Route("/visit/{number:int}/report.pdf", frame.known(visits.report), methods=["POST"]),
            Route("/visit/{number:int}/report.fhir.json", frame.known(visits.bundle), methods=["POST"]),
            Route("/visit/{number:int}/{kind:str}/{sha256:str}", frame.known(visits.shown)),
            Route("/inbox/{key:str}", frame.known(overview.inbox_picture)),
            Route("/inbox/{key:str}/aside", frame.known(overview.put_aside), methods=["POST"]),
            Route("/history", frame.known(overview.history)),
            Route("/unit", frame.known(overview.unit)),
            Route("/leaves", frame.known(overview.leaves)),
        ],
        middleware=[Middleware(Guard, names=names)],
        exception_handlers={404: frame.missing, 405: frame.missing},
    )
