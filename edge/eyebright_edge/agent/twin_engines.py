"""Engines between twins, over the network: a unit takes what a builder built, a builder sends what it built.

* Taking is a favour, never a need: whatever goes wrong with it (nobody offers one, the line breaks, it is for another
  machine), the unit builds its own. So it is not a state of the update, and nothing of it fails an update.
* What is taken is signed like a release, and still unproven: ``runtime.tensorrt`` proves it on the golden cases of the
  release on this machine before it serves, deletes it when it fails, and builds one then.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eyebright_common.errors import EyebrightError, InputError
from eyebright_common.release.engines import UNKNOWN, EngineUpload
from eyebright_common.trust import Role, UnitIdentity
from eyebright_common.wire import DistributionClient, Patience, upload_engine
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.rehearsal import OnProgress
from eyebright_edge.agent.source import ReleaseSource
from eyebright_edge.runtime.settings import RuntimeSettings, settings_from_environment


def take_twin_engine(
    source: ReleaseSource,
    home: UnitHome,
    folder: Path,
    on_progress: OnProgress,
    *,
    settings: RuntimeSettings | None = None,
) -> bool:
    """Put a twin's engine for a release among this unit's, if it wants one and there is one; return whether.

    Args:
        source: The other side.
        home: The unit's home.
        folder: The release's folder, verified.
        on_progress: Told what is done, and why nothing came of it.
        settings: How this unit computes; from the environment when None.
    """
    # Here, because most units have no such GPU and need none of it.
    from eyebright_common.release import read_release
    from eyebright_edge.runtime.twins import adopt_engine, wanted_engine

    place = home.downloads / "engine"
    chosen = settings or settings_from_environment()
    try:
        wanted = wanted_engine(folder, chosen)
        if wanted is None:
            return False
        on_progress(0.0, "asking for a twin's engine")
        release = read_release(folder, networks=())
        place.mkdir(parents=True, exist_ok=True)
        found = source.fetch_engine(release.task, release.version, wanted.key.digest, place)
        if found is None:
            return False
        adopt_engine(found.upload, found.file, folder, chosen, wanted.probed)
    except (EyebrightError, OSError) as error:
        on_progress(0.0, f"no twin's engine: {error}")
        return False
    finally:
        shutil.rmtree(place, ignore_errors=True)
    on_progress(0.0, f"the engine of {found.upload.builder} is to be proven here")
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SentEngine:
    """What a builder sent.

    Attributes:
        upload: The engine's description.
        state: ``waiting`` for the operator's signature, or ``signed``.
    """

    upload: EngineUpload
    state: str


def send_engine(
    home: UnitHome,
    *,
    settings: RuntimeSettings | None = None,
    on_progress: Callable[[str], None] = lambda text: None,
    patience: Patience | None = None,
) -> SentEngine:
    """Build the engine of the release that a builder has, prove it, and send it for its twins.

    Args:
        home: The builder's home.
        settings: How it computes; from the environment when None.
        on_progress: Told what is being done.
        patience: How long to wait for the server.

    Raises:
        InputError: this unit is no builder, or has no release.
        EyebrightError: the engine cannot be built or proven, or the server does not take it.
    """
    from eyebright_edge.runtime.engine_cache import EngineCache
    from eyebright_edge.runtime.tensorrt import open_tensorrt
    from eyebright_edge.runtime.twins import describe_engine

    identity = UnitIdentity.open(home.identity)
    if identity.role is not Role.BUILDER:
        fix = "Ask the operator for an invitation: eyebright server invite DIR NAME --role builder"
        raise InputError("this unit is not a builder", value=identity.name, fix=fix)
    serving = home.serving()
    chosen = settings or settings_from_environment()
    with open_tensorrt(serving.folder, chosen, build=True, progress=on_progress) as runtime:
        upload = describe_engine(runtime, serving.folder, builder=identity.name)
    _require_a_known_machine(upload)

    told = 0

    def sent(share: float) -> None:
        nonlocal told
        if int(10 * share) > told:
            told = int(10 * share)
            on_progress(f"{10 * told} % sent")

    engine = EngineCache(chosen.engines).engine_file(upload.key)
    with DistributionClient.connect(identity, patience=patience) as client:
        state = upload_engine(client, upload, engine, on_progress=sent)
    return SentEngine(upload=upload, state=state)


def _require_a_known_machine(upload: EngineUpload) -> None:
    machine = upload.key.fingerprint
    if not machine.is_twin(machine):
        found = ", ".join(f"{name} {value}" for name, value in machine.model_dump().items() if value == UNKNOWN)
        fix = "Its engine serves it alone; units build their own."
        raise InputError("this machine does not know itself well enough to have twins", value=found, fix=fix)
