"""Looks at test data: what they found, and how many there were.

A look is written into the ledger before it is taken. A data set that is looked at again and again stops being a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from eyebright_common.durable import write_bytes
from eyebright_common.errors import InputError, ReleaseError
from eyebright_common.manifest import read_dataset
from eyebright_common.release import MODEL_FILE, Release, read_release
from eyebright_common.release.evidence import SiteEvidence, read_evidence
from eyebright_server.records import Records
from eyebright_server.release.candidate import CANDIDATE_FILE, Candidate, read_candidate
from eyebright_server.release.measuring import Progress, measure_data
from eyebright_server.release.site_evidence import Role

EVIDENCE_FILE = "evidence.json"
LOOKED = "test-data-looked"
_EVIDENCE = TypeAdapter(tuple[SiteEvidence, ...])


class Looks:
    """Takes looks and counts them.

    Args:
        records: Where they are written down.
        clock: The present time, aware.
    """

    def __init__(self, records: Records, *, clock: Callable[[], datetime]) -> None:
        self._records, self._clock = records, clock

    def gather(
        self,
        folder: Path,
        candidate: Candidate,
        older: Mapping[Role, Path],
        *,
        data: Sequence[Path],
        unit_data: Sequence[Path],
        counts: Sequence[Path],
        audit: bool,
        workers: int,
        on_progress: Progress | None,
    ) -> tuple[SiteEvidence, ...]:
        """Return what is known of a candidate: measured now, counted elsewhere, kept from the last time, or validation.

        Args:
            folder: The candidate's.
            candidate: What is in it.
            older: Releases to compare with.
            data: Test data to look at.
            unit_data: The same, taken with units' cameras.
            counts: Files of counts from elsewhere.
            audit: Whether to look for shortcuts.
            workers: Processes.
            on_progress: Told how far it has come.

        Raises:
            EyebrightError: the data, a file of counts or what was kept cannot be used.
        """
        saved = folder / EVIDENCE_FILE
        if not (data or unit_data or counts):
            if not saved.is_file():
                return candidate.validation
            try:
                return _EVIDENCE.validate_json(saved.read_bytes())
            except ValidationError as error:
                raise ReleaseError("the evidence kept here is damaged", value=saved, fix="Measure again.") from error
        told = [read_evidence(path) for path in counts]
        for path in (*data, *unit_data):
            self._note(path, candidate.release)
            told += measure_data(
                folder,
                candidate.release,
                path,
                others=older,
                unit_camera=path in unit_data,
                audit=audit,
                workers=workers,
                on_progress=on_progress,
            )
        names = [(one.site, one.unit_camera) for one in told]
        if len(set(names)) != len(names):
            twice = sorted({site for site, camera in names if names.count((site, camera)) > 1})
            raise InputError("a site is counted twice", value=", ".join(twice), fix="Give each site's data once.")
        write_bytes(saved, _EVIDENCE.dump_json(tuple(told)))
        return tuple(told)

    def _note(self, data: Path, release: Release) -> None:
        """Write a look at test data down, before it is taken."""
        manifest, _ = read_dataset(data, task_family=release.task, exact=True)
        facts = {
            "digest": manifest.digest,
            "task": release.task,
            "version": release.version,
            "model_sha256": release.artefact(MODEL_FILE).sha256,
        }
        self._records.append(LOOKED, facts, now=self._clock())

    def count(self, evidence: Sequence[SiteEvidence]) -> int | None:
        """How often the most looked-at data set was; None when it is not known what was looked at."""
        digests = {one.data_digest for one in evidence if one.split == "test"}
        if not digests or None in digests:
            return None
        entries = [entry.facts["digest"] for entry in self._records.ledger(kind=LOOKED)]
        return max(max(1, entries.count(digest)) for digest in digests)


def count_site(
    candidate: Path,
    data: Path,
    out: Path,
    *,
    site: str,
    incumbent: Path | None,
    first: Path | None,
    unit_camera: bool,
    smallest: int,
    workers: int,
    on_progress: Progress | None,
) -> SiteEvidence:
    """Run a candidate or release over a site's data, write the counts to ``out`` and return them.

    Raises:
        EyebrightError: the data or a release cannot be used here.
    """
    is_candidate = (candidate / CANDIDATE_FILE).is_file()
    release = read_candidate(candidate).release if is_candidate else read_release(candidate)
    others: dict[Role, Path] = {}
    if incumbent is not None:
        others["incumbent"] = incumbent
    if first is not None:
        others["first"] = first
    (evidence,) = measure_data(
        candidate,
        release,
        data,
        others=others,
        site=site,
        unit_camera=unit_camera,
        smallest=smallest,
        workers=workers,
        on_progress=on_progress,
    )
    write_bytes(out, evidence.to_json())
    return evidence
