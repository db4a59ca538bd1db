"""How much a model loses at a site it has never seen.

Two sets of answers on the same pictures: *pooled*, from a model that trained on every site (other patients of course),
and *held out*, from models each of which trained on all sites but the picture's own. The drop of a site is
``pooled - held out`` on that site's pictures, compared within each resample of patients. A large drop says that part
of the pooled figure was the site, not the disease.

Training the models is the study's work; this only compares their answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eyebright_common.errors import InputError
from eyebright_learning.evaluation.cases import Cases, Criteria, Mask
from eyebright_learning.evaluation.estimates import (
    REPLICATES,
    Estimate,
    estimates,
    paired_difference,
    require_same_cases,
)
from eyebright_learning.evaluation.strata import MIN_GROUPS, strata

EVERYWHERE = "all sites"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDrop:
    """What one site loses.

    Attributes:
        site: Its name, or ``EVERYWHERE``.
        images: Pictures.
        groups: Patients, near-duplicates counted as one.
        pooled: Figure of the model that knew the site; None where the site is too small.
        held_out: Figure of the model that did not.
        drop: Their difference.
    """

    site: str
    images: int
    groups: int
    pooled: Estimate | None
    held_out: Estimate | None
    drop: Estimate | None


def leave_one_site_out_drop(
    pooled: Cases,
    held_out: Cases,
    sites: Sequence[str],
    *,
    statistic: str = "balanced_accuracy",
    criteria: Criteria | None = None,
    min_groups: int = MIN_GROUPS,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[SiteDrop, ...]:
    """Return the drop everywhere and at each site, largest site first.

    Args:
        pooled: Answers of the model that knew every site.
        held_out: Answers, on the same pictures in the same order, of models that did not know the picture's site.
        sites: Site of each picture.
        statistic: What is compared, by its flat name.
        criteria: What is asked of both; needed for rates at a threshold.
        min_groups: Patients that a site needs to be measured.
        replicates: Resamples.
        seed: Of the draws.

    Raises:
        InputError: the pictures are not the same, a site is missing, or there is no such statistic.
    """
    if len(sites) != len(pooled) or not all(sites):
        raise InputError("every picture needs a site", value=f"{sum(map(bool, sites))} of {len(pooled)} have one")
    require_same_cases(pooled, held_out)
    asked = criteria or Criteria()

    def drop(name: str, where: Mask, groups: int, measured: bool) -> SiteDrop:
        images = int(where.sum())
        if not measured:
            return SiteDrop(site=name, images=images, groups=groups, pooled=None, held_out=None, drop=None)
        one, other = pooled.part(where), held_out.part(where)
        difference = paired_difference(statistic, one, other, asked, replicates=replicates, seed=seed)
        figures = estimates({"pooled": one, "held_out": other}, asked, replicates=replicates, seed=seed)
        return SiteDrop(
            site=name,
            images=images,
            groups=groups,
            pooled=figures["pooled"][statistic],
            held_out=figures["held_out"][statistic],
            drop=difference,
        )

    everywhere = drop(EVERYWHERE, np.ones(len(pooled), dtype=np.bool_), len(np.unique(pooled.groups)), True)
    parts = strata({"site": sites}, pooled.groups, min_groups=min_groups)
    return (everywhere, *(drop(part.name, part.where, part.groups, part.measured) for part in parts))
