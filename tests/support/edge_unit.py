"""A unit for tests: a home folder, a key, a folder of releases, a clock set by hand."""

from datetime import UTC, datetime
from pathlib import Path

from direct_workshop import DirectWorkshop
from eyebright_common.trust import new_certificate_key, save_private_key
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import Budget, Trial, UnitSettings, write_settings
from eyebright_edge.agent.update import Onlooker, UpdateAgent
from eyebright_edge.agent.workshop import Workshop
from eyebright_edge.runtime import open_runtime
from eyebright_edge.runtime.networks import NeededNetworks
from folder_releases import FolderReleases

MORNING = datetime(2026, 1, 2, 8, 0, tzinfo=UTC)
NO_TRIAL = Trial(visits=0)
# The test's own process may be large, and a machine under load slow: what is tested here is not its size.
ROOMY = Budget(memory_mb=64_000, prepare_memory_mb=64_000, latency_p95_ms=1e6)


class EdgeUnit:
    """One unit and the releases it can be offered.

    Attributes:
        now: Its clock.
        trial: How long it tries a release; not at all, unless a test says so.
        budget: What a release may cost.
        pauses: Seconds it waited between two tries.
        needs: Which networks it fetches; those of the machine that runs the tests when None.
    """

    def __init__(self, folder: Path, *, workshop: Workshop | None = None) -> None:
        self.home = UnitHome(folder / "unit")
        self.home.create()
        write_settings(self.home, UnitSettings(task="fundus"))
        save_private_key(self.home.identity / "key.pem", new_certificate_key())
        self.releases = FolderReleases(folder / "published")
        self.now = MORNING
        self.trial = NO_TRIAL
        self.budget = ROOMY
        self.workshop = workshop or DirectWorkshop(open_runtime)
        self.pauses: list[float] = []
        self.needs: NeededNetworks | None = None

    def agent(self, onlooker: Onlooker = lambda state, moment: None, *, offline: bool = False) -> UpdateAgent:
        return UpdateAgent(
            self.home,
            task="fundus",
            source=None if offline else self.releases,
            open_runtime=open_runtime,
            clock=lambda: self.now,
            onlooker=onlooker,
            trial=self.trial,
            budget=self.budget,
            workshop=self.workshop,
            pause=self.pauses.append,
            needs=self.needs,
        )

    def install(self, version: str, **how: object) -> None:
        """Publish a release and let the unit take it."""
        self.releases.publish(version, **how)
        result = self.agent().update()
        assert result.active == version, result
