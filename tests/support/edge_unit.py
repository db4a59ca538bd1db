"""A unit for tests: a home folder, a folder of releases, a clock set by hand."""

from datetime import UTC, datetime
from pathlib import Path

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import UnitSettings, write_settings
from eyebright_edge.agent.update import Onlooker, UpdateAgent
from eyebright_edge.runtime import open_runtime
from folder_releases import FolderReleases

MORNING = datetime(2026, 1, 2, 8, 0, tzinfo=UTC)


class EdgeUnit:
    """One unit and the releases it can be offered."""

    def __init__(self, folder: Path) -> None:
        self.home = UnitHome(folder / "unit")
        self.home.create()
        write_settings(self.home, UnitSettings(task="fundus"))
        self.releases = FolderReleases(folder / "published")

    def agent(self, onlooker: Onlooker = lambda state, moment: None, *, offline: bool = False) -> UpdateAgent:
        return UpdateAgent(
            self.home,
            task="fundus",
            source=None if offline else self.releases,
            open_runtime=open_runtime,
            clock=lambda: MORNING,
            onlooker=onlooker,
        )

    def install(self, version: str, **how: object) -> None:
        """Publish a release and let the unit take it."""
        self.releases.publish(version, **how)
        result = self.agent().update()
        assert result.active == version, result
