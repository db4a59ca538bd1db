"""The other side of an update as a folder of releases: implements ``ReleaseSource`` without a network."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eyebright_common.digests import sha256_of
from eyebright_common.errors import WireError
from eyebright_common.release import RELEASE_FILE, parse_release
from eyebright_common.release.rollout import Use
from eyebright_edge.agent.news import News
from eyebright_edge.agent.source import LeaveOut, Offer, TwinEngine
from eyebright_edge.agent.unit_report import UnitFacts


@dataclass
class FolderReleases:
    """Releases in ``folder/VERSION``.

    Attributes:
        folder: Where they lie.
        files_before_cut: After how many files the connection breaks, once; None for never.
        reachable: Whether anybody answers.
        use: What the newest release is for.
        told: What the metadata says of its own age.
        fetched: Names of the files that were sent, in order.
        reports: What was reported.
    """

    folder: Path
    files_before_cut: int | None = None
    reachable: bool = True
    use: Use = Use.SERVE
    told: News | None = None
    fetched: list[str] = field(default_factory=list)
    reports: list[UnitFacts] = field(default_factory=list)

    def publish(self, version: str, **how: Any) -> None:
        # Imported here: a unit that is about to lose its power reads releases and need not load what builds them.
        from tiny_release import write_tiny_release

        write_tiny_release(self.folder / version, version=version, **how)

    def offered(self, task: str, *, active: str | None) -> Offer | None:
        self._require_reachable()
        versions = sorted((f.name for f in self.folder.iterdir()), key=int) if self.folder.is_dir() else []
        if not versions:
            return None
        newest = self.folder / versions[-1]
        return Offer(
            task=task,
            version=newest.name,
            sha256=sha256_of(newest / RELEASE_FILE),
            size_bytes=sum(file.stat().st_size for file in newest.iterdir()),
            use=self.use,
        )

    def news(self) -> News | None:
        return self.told

    def fetch(self, offer: Offer, folder: Path, *, leave_out: LeaveOut, at_hand: Path) -> None:
        self._require_reachable()
        partial = folder.with_name(f".{folder.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        release = parse_release((self.folder / offer.version / RELEASE_FILE).read_bytes())
        unwanted = leave_out(release)
        for file in sorted((self.folder / offer.version).iterdir()):
            if (partial / file.name).exists() or file.name in unwanted:
                continue
            kept = at_hand / file.name
            if kept.is_file() and not kept.is_symlink() and sha256_of(kept) == sha256_of(file):
                shutil.copyfile(kept, partial / file.name)
                continue
            if self.files_before_cut == 0:
                self.files_before_cut = None
                raise WireError("the connection broke", fix="Try again.")
            if self.files_before_cut is not None:
                self.files_before_cut -= 1
            shutil.copyfile(file, partial / file.name)
            self.fetched.append(file.name)
        partial.rename(folder)

    def fetch_engine(self, task: str, version: str, key: str, folder: Path) -> TwinEngine | None:
        return None  # nobody builds for others here

    def report(self, facts: UnitFacts) -> None:
        self._require_reachable()
        self.reports.append(facts)

    def _require_reachable(self) -> None:
        if not self.reachable:
            raise WireError("the server cannot be reached", fix="Check the network.")
