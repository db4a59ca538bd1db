"""``result.json`` of a comparison of sites, read and written strictly.

* *Pooled* are the answers of students that knew every site (other patients of course), *held out* those of students
  that never saw the picture's site. ``drop`` is pooled minus held out on the same pictures and resamples.
* ``figures`` are of all pictures. A class that only one site has cannot be known to the student that never saw the
  site: ``comparable`` are the pictures of the other classes, and answers among the classes that were taught. Where
  every class was taught the two are the same. Verdicts go by ``comparable``.
* Names of sites are there, patients and files are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from eyebright_common.documents import StrictDocument, problems_of
from eyebright_common.errors import InputError
from eyebright_simulations.study.result_schema import Count, Data, Estimate, Machine

AUROC = "macro_auroc"
SiteVerdict = Literal["owed to the site", "reversed", "not settled", "cannot be told", "too small"]


class Comparison(StrictDocument):
    """One figure of both trainings, and their difference within each resample."""

    pooled: Estimate
    held_out: Estimate
    drop: Estimate


class SiteRow(StrictDocument):
    """One site, or all of them.

    Attributes:
        site: Its name.
        tested: Pictures whose answers are compared; fewer than there are when not every fold was run.
        groups: Groups of patients at the site, all of them.
        labels: Pictures of each class at the site, all of them.
        untaught: Classes at the site that the student without the site never saw (everywhere: at any site).
        comparable_classes: Classes at the site that it did see (everywhere: for any site).
        spanning_groups: Groups with pictures here and at another site; the student without the site learned from none.
        trained_on: Pictures that the student without the site learned from; null for all sites.
        site_alone: Best balanced accuracy of whoever knows the site and nothing else: one answer per site, always.
        figures: By name: ``balanced_accuracy``, ``accuracy``, ``macro_auroc``, ``referable.auroc``, ``recall.CLASS``.
        comparable: ``balanced_accuracy`` and ``macro_auroc`` of what can be compared.
        verdict: What the comparable drop of balanced accuracy amounts to.
    """

    site: str
    tested: Count
    groups: Count
    labels: dict[str, Count]
    untaught: tuple[str, ...]
    comparable_classes: tuple[str, ...]
    spanning_groups: Count
    trained_on: Count | None
    site_alone: float
    figures: dict[str, Comparison]
    comparable: dict[str, Comparison]
    verdict: SiteVerdict

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes the site has pictures of."""
        return tuple(name for name, number in self.labels.items() if number)


class SitesResult(StrictDocument):
    """The content of ``result.json``."""

    schema_: Literal["eyebright.sites-result/1"] = Field(default="eyebright.sites-result/1", alias="schema")
    task: str
    command: str
    options: dict[str, Any]
    data: Data
    student: str
    folds_run: Annotated[int, Field(ge=1)]
    spanning_groups: Count
    spanning_images: Count
    pooled_trained_on: float
    everywhere: SiteRow
    sites: tuple[SiteRow, ...] = Field(min_length=2)
    findings: tuple[str, ...]
    job_seconds: dict[str, float]
    machine: Machine
    versions: dict[str, str]

    @property
    def rows(self) -> tuple[SiteRow, ...]:
        """All sites together, then each."""
        return (self.everywhere, *self.sites)


def read_sites_result(path: Path) -> SitesResult:
    """Return the result in a file.

    Raises:
        InputError: it cannot be read, or breaks the schema; the message names the fields.
    """
    try:
        return SitesResult.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError("no readable result of a comparison of sites", value=path, fix="Run it again.") from error
    except ValidationError as error:
        problems = "; ".join(problems_of(error, whole="result")[:5])
        raise InputError(f"{path} breaks the schema of a comparison of sites", value=problems) from error
