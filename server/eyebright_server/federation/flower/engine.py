"""Running the rounds as a ServerApp: in this process, or in Flower's simulation engine on Ray.

* Both call the same function with the same hospitals behind it; only the grid differs.
* Ray is kept offline and quiet, its workers take the number of threads the hospital's policy says, and the environment
  and log level that Flower changes are put back afterwards.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from flwr.app import Context, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from eyebright_common.errors import FederationError, InputError
from eyebright_server.federation.flower.grid import LocalGrid
from eyebright_server.federation.flower.hospitals import FlowerHospitals
from eyebright_server.federation.flower.records import take_identity

Main = Callable[[FlowerHospitals], None]


def run_locally(
    main: Main, *, client_app: ClientApp, hospitals: int, deadline_s: float | None, signature: str = ""
) -> None:
    """Run ``main`` as a ServerApp over a ``LocalGrid``."""
    grid = LocalGrid(client_app, [{"partition-id": i, "num-partitions": hospitals} for i in range(hospitals)])
    take_identity(anew=True)
    context = Context(run_id=grid.run.run_id, node_id=0, node_config={}, state=RecordDict(), run_config={})
    with _quiet():
        _server_app(main, hospitals, deadline_s, threading.Event(), signature)(grid, context)


def run_with_ray(
    main: Main,
    *,
    client_app: ClientApp,
    hospitals: int,
    deadline_s: float | None,
    cpus: int,
    cpus_per_hospital: int,
    signature: str = "",
) -> None:
    """Run ``main`` as a ServerApp in Flower's simulation engine.

    Args:
        main: Runs the rounds; called in a thread of its own.
        client_app: Travels to the workers; they import this project as it is installed here.
        hospitals: Number of nodes.
        deadline_s: As in ``FlowerHospitals``.
        cpus: Processors Ray may plan with.
        cpus_per_hospital: Processors one hospital takes; ``cpus // cpus_per_hospital`` of them work at a time.
        signature: As in ``FlowerHospitals``.

    Raises:
        InputError: Ray is not installed.
        FederationError: the engine itself broke down.
        Exception: whatever ``main`` raised, as it raised it.
    """
    if find_spec("ray") is None:
        raise InputError("the ray backend needs Ray", fix="Install 'eyebright[simulations]', or use the local backend.")
    failures: list[BaseException] = []

    def guarded(people: FlowerHospitals) -> None:
        try:
            main(people)
        except BaseException as failure:  # carried to the caller's thread, never dropped
            failures.append(failure)

    stopped = threading.Event()
    app = _server_app(guarded, hospitals, deadline_s, stopped, signature)
    config: dict[str, Any] = {
        "init_args": {"num_cpus": cpus, "include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"},
        "client_resources": {"num_cpus": cpus_per_hospital, "num_gpus": 0.0},
    }
    with _quiet(), _own_environment():
        from flwr.simulation import run_simulation  # brings Ray, which changes the environment as it comes

        try:
            run_simulation(app, client_app, hospitals, "ray", config)
        except RuntimeError as error:
            cause = error.__cause__ or error
            raise FederationError(
                "the simulation engine broke down", value=cause, fix="Use the local backend."
            ) from error
        finally:
            stopped.set()
    if failures:
        raise failures[0]


def _server_app(
    main: Main, hospitals: int, deadline_s: float | None, stopped: threading.Event, signature: str
) -> ServerApp:
    app = ServerApp()

    def run(grid: Grid, context: Context) -> None:
        people = FlowerHospitals(grid, expected=hospitals, deadline_s=deadline_s, signature=signature)
        people.stopped = stopped
        main(people)

    app.main()(run)
    return app


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Flower's log off the terminal; what a person should know is in the records and events."""
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _own_environment() -> Iterator[None]:
    """Give back the environment that Flower and Ray change, PYTHONPATH above all."""
    before = dict(os.environ)
    # Without it Ray warns that a later version will treat machines without accelerators differently.
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
