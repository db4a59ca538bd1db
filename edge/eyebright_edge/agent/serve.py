"""``eyebright edge agent``: the service put together from the unit's own settings, until somebody stops it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from datetime import datetime
from types import FrameType

from eyebright_common.trust import UnitIdentity
from eyebright_common.wire import DistributionClient
from eyebright_edge.agent.hints import Listen, ServerHints
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.service import AgentService, ServiceManager
from eyebright_edge.agent.settings import read_settings
from eyebright_edge.agent.source import ReleaseSource
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.tuf_source import SERVER, open_source
from eyebright_edge.agent.update import Moment, Stopped, UpdateAgent
from eyebright_edge.runtime import build_runtime
from eyebright_edge.runtime.networks import NeededNetworks


def serve_unit(
    home: UnitHome,
    *,
    places: tuple[str, ...] = (),
    clock: Callable[[], datetime],
    on_event: Callable[[str], None] = lambda line: None,
) -> None:
    """Keep a unit up to date until SIGTERM or SIGINT; what is interrupted by them is taken up again, uncounted.

    Args:
        home: The unit's home.
        places: Where to look for releases; those of ``unit.json`` when empty.
        clock: The machine's clock, aware.
        on_event: Told in one line what each round came to.

    Raises:
        InputError: the unit has not been enrolled.
    """
    settings = read_settings(home)
    manager = ServiceManager()
    needs = NeededNetworks()

    def onlooker(state: State, moment: Moment) -> None:
        manager.moved()

    def make_agent(source: ReleaseSource) -> UpdateAgent:
        return UpdateAgent(
            home,
            task=settings.task,
            source=source,
            open_runtime=build_runtime,
            clock=clock,
            onlooker=onlooker,
            trial=settings.trial,
            budget=settings.budget,
            needs=needs,
        )

    def open_place(place: str) -> AbstractContextManager[ReleaseSource]:
        return open_source(home, place, now=clock())

    def told(line: str) -> None:
        manager.moved()
        manager.tell(f"STATUS={line}")
        on_event(line)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    looked_in = places or settings.places
    service = AgentService(
        home,
        places=looked_in,
        open_place=open_place,
        make_agent=make_agent,
        clock=clock,
        hints=ServerHints(listen_to_server(home)) if SERVER in looked_in else None,
        on_event=told,
    )
    manager.tell("READY=1")
    try:
        service.run()
    except Stopped:
        manager.tell("STOPPING=1")
        on_event("stopped; what was interrupted goes on at the next start")


def listen_to_server(home: UnitHome) -> Listen:
    """Return how to listen to the server that a unit enrolled with, each time over a line of its own.

    What it returns raises ``EyebrightError`` when the line breaks, or this unit is not enrolled or no longer let in.
    """

    def listen(mark: str, for_s: float) -> Generator[str]:
        with DistributionClient.connect(UnitIdentity.open(home.identity)) as client:
            yield from client.watch(mark, for_s=for_s)

    return listen


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped
