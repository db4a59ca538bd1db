"""From the records of a comparison of sites to its rows.

* Compared is what both trainings answered: the pictures of the folds that were run.
* A student that never saw a site may not know all of its classes. Its answers and the pooled ones are then also
  compared among the classes it was taught, on the pictures of those: otherwise the pooled student would be blamed for
  knowing more classes, and the other one praised for having fewer to confuse.
* A site with pictures of one class only, or with one comparable class: balanced accuracy is that class's recall, which
  leaning towards the class raises as well as seeing disease does. Such a drop is shown and not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyebright_common.tasks import ScreeningTask
from eyebright_learning.audit import SiteDrop, leave_one_site_out_drop
from eyebright_learning.audit.site_drop import EVERYWHERE
from eyebright_learning.evaluation import Cases
from eyebright_learning.evaluation import Estimate as Measured
from eyebright_learning.evaluation.cases import Floats, Mask
from eyebright_simulations.study.analysis import put_together
from eyebright_simulations.study.arms import CONTROL
from eyebright_simulations.study.folds import HeldOut, Integers, spanning_groups
from eyebright_simulations.study.pictures import load_sites, load_table
from eyebright_simulations.study.records import Predictions, held_out_job, read_predictions
from eyebright_simulations.study.result_schema import MAIN, Estimate
from eyebright_simulations.study.sites_options import SitesOptions
from eyebright_simulations.study.sites_result import AUROC, Comparison, SiteRow, SiteVerdict

_FIGURES = (MAIN, "accuracy", AUROC, "referable.auroc")
_NOTHING = Estimate(value=None, lower=None, upper=None)

BySite = dict[str, dict[str, SiteDrop]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BothAnswers:
    """What both trainings answered, and all that is needed to compare it.

    Attributes:
        task: Names the classes.
        groups: Group of every picture of the study, ``[N]``.
        labels: Label of every picture, ``[N]``.
        names: Sites, in order.
        site_of: Number of every picture's site, ``[N]``.
        positions: The pictures that are compared, ``[M]``.
        pooled: Answers of students that knew the site, ``[M, C]``.
        held_out: Answers of students that did not, ``[M, C]``.
        taught: Which classes the student without a site had pictures of, ``[sites, C]``.
        trained_on: How many pictures it learned from, ``[sites]``.
        pooled_trained_on: How many a pooled student learned from, on average.
    """

    task: ScreeningTask
    groups: Integers
    labels: Integers
    names: tuple[str, ...]
    site_of: Integers
    positions: Integers
    pooled: Floats
    held_out: Floats
    taught: Mask
    trained_on: Integers
    pooled_trained_on: float

    @classmethod
    def read(cls, options: SitesOptions, out: Path, task: ScreeningTask) -> BothAnswers:
        """Return the answers of the finished jobs; that nobody was tested on what it saw is looked at again."""
        fold_of, groups, labels = load_table(out)
        names, site_of = load_sites(out)
        folds = [_answers(out, HeldOut(by="fold", number=fold)) for fold in options.folds_to_run]
        sites = [_answers(out, HeldOut(by="site", number=site)) for site in range(len(names))]
        positions = np.flatnonzero(fold_of < len(options.folds_to_run))
        for number, site in enumerate(sites):
            assert not (site_of[np.concatenate([site.train, site.validation])] == number).any(), "a site was not unseen"
        return cls(
            task=task,
            groups=groups,
            labels=labels,
            names=names,
            site_of=site_of,
            positions=positions,
            pooled=put_together(folds, groups=groups, positions=positions),
            held_out=put_together(sites, groups=groups, positions=np.arange(len(groups)))[positions],
            taught=np.array([np.isin(np.arange(len(task.classes)), labels[site.train]) for site in sites]),
            trained_on=np.array([len(site.train) for site in sites], dtype=np.int64),
            pooled_trained_on=float(np.mean([len(fold.train) for fold in folds])),
        )

    @property
    def spanning(self) -> Integers:
        """The groups that were at several sites."""
        return spanning_groups(self.groups, self.site_of)

    def cases(self, probabilities: Floats) -> Cases:
        """Return answers as cases."""
        return Cases.of(probabilities, self.labels[self.positions], groups=self.groups[self.positions], task=self.task)

    def comparable(self) -> tuple[Mask, Floats, Floats]:
        """Return which pictures can be compared ``[M]``, and both answers among the classes that were taught."""
        allowed = self.taught[self.site_of[self.positions]]
        known = allowed[np.arange(len(allowed)), self.labels[self.positions]]
        return known, answers_among(self.pooled, allowed), answers_among(self.held_out, allowed)


def answers_among(probabilities: Floats, allowed: NDArray[np.bool_]) -> Floats:
    """Return what is left of each picture's probabilities when only some classes may be answered, ``[M, C]``."""
    left = np.where(allowed, probabilities, 0.0)
    total = left.sum(axis=1, keepdims=True)
    even = allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.divide(left, total, out=even, where=total > 0.0))


def site_rows(answers: BothAnswers, *, replicates: int, seed: int) -> tuple[SiteRow, ...]:
    """Return the row of all sites together, then of each by name."""
    names = np.array(answers.names)[answers.site_of[answers.positions]].tolist()
    statistics = (*_FIGURES, *(f"recall.{name}" for name in answers.task.classes))
    pooled, held_out = answers.cases(answers.pooled), answers.cases(answers.held_out)
    whole = _drops(pooled, held_out, names, statistics, replicates=replicates, seed=seed)
    known, *both = answers.comparable()
    if known.all() and answers.taught.all():
        some = {site: {name: found[name] for name in (MAIN, AUROC)} for site, found in whole.items()}
    elif known.any():
        one, other = (answers.cases(each).part(known) for each in both)
        kept = [name for name, there in zip(names, known.tolist(), strict=True) if there]
        some = _drops(one, other, kept, (MAIN, AUROC), replicates=replicates, seed=seed)
    else:
        some = {}
    return tuple(_row(answers, site, whole.get(site, {}), some.get(site, {})) for site in (EVERYWHERE, *answers.names))


def site_alone(labels: Integers, site_of: Integers) -> float:
    """Return the best balanced accuracy of whoever knows the site of a picture and nothing else.

    One answer per site, ``c(s)``: mean over classes of ``sum_s n[s, c(s)] / n[c(s)]``, so each site takes the class of
    which it has the largest share. At one site with k classes it is 1 / k.
    """
    table = np.zeros((int(site_of.max()) + 1, int(labels.max()) + 1))
    np.add.at(table, (site_of, labels), 1.0)
    table = table[:, table.any(axis=0)]
    return float((table / table.sum(axis=0)).max(axis=1).sum() / table.shape[1])


def verdict_of_site(comparable_classes: int, main: SiteDrop | None) -> SiteVerdict:
    """Return what the drop of balanced accuracy among ``comparable_classes`` amounts to."""
    if comparable_classes < 2:
        return "cannot be told"
    if main is None or main.drop is None:
        return "too small"
    interval = main.drop.interval
    if interval is not None and interval.lower > 0.0:
        return "owed to the site"
    return "reversed" if interval is not None and interval.upper < 0.0 else "not settled"


def _drops(
    pooled: Cases, held_out: Cases, sites: Sequence[str], statistics: Sequence[str], *, replicates: int, seed: int
) -> BySite:
    found: BySite = {}
    for statistic in statistics:
        drops = leave_one_site_out_drop(pooled, held_out, sites, statistic=statistic, replicates=replicates, seed=seed)
        for drop in drops:
            found.setdefault(drop.site, {})[statistic] = drop
    return found


def _row(
    answers: BothAnswers, site: str, figures: Mapping[str, SiteDrop], comparable: Mapping[str, SiteDrop]
) -> SiteRow:
    everywhere = site == EVERYWHERE
    number = None if everywhere else answers.names.index(site)
    there = np.ones(len(answers.labels), dtype=np.bool_) if number is None else answers.site_of == number
    classes, C = answers.task.classes, len(answers.task.classes)
    counts = np.bincount(answers.labels[there], minlength=C).tolist()
    unknown = ~answers.taught[answers.site_of[there], answers.labels[there]]
    told = tuple(classes[c] for c in np.unique(answers.labels[there][~unknown]))
    tested = answers.positions[there[answers.positions]]
    return SiteRow(
        site=site,
        tested=len(tested),
        groups=len(np.unique(answers.groups[there])),
        labels=dict(zip(classes, counts, strict=True)),
        untaught=tuple(classes[c] for c in np.unique(answers.labels[there][unknown])),
        comparable_classes=told,
        spanning_groups=len(np.intersect1d(answers.spanning, answers.groups[there])),
        trained_on=None if number is None else int(answers.trained_on[number]),
        site_alone=site_alone(answers.labels[there], answers.site_of[there]),
        figures={name: _comparison(drop) for name, drop in figures.items()},
        comparable={name: _comparison(drop) for name, drop in comparable.items()},
        verdict=verdict_of_site(len(told), comparable.get(MAIN)),
    )


def _comparison(drop: SiteDrop) -> Comparison:
    return Comparison(pooled=_found(drop.pooled), held_out=_found(drop.held_out), drop=_found(drop.drop))


def _found(measured: Measured | None) -> Estimate:
    return _NOTHING if measured is None else Estimate(**measured.to_dict())


def _answers(out: Path, held_out: HeldOut) -> Predictions:
    return read_predictions(out, held_out_job(CONTROL, held_out, 0))
