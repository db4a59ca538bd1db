"""Pooled against leave-one-site-out: who is learned from, what is compared, and what is said aloud."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright_common.errors import InputError
from eyebright_common.tasks import get_task
from eyebright_learning.audit import SiteDrop
from eyebright_learning.evaluation import Estimate as Measured
from eyebright_learning.evaluation import Interval
from eyebright_simulations.study.folds import FoldParts, HeldOut, fold_parts, site_parts, spanning_groups
from eyebright_simulations.study.pictures import numbered
from eyebright_simulations.study.records import held_out_job, write_record
from eyebright_simulations.study.sites_numbers import (
    BothAnswers,
    answers_among,
    site_alone,
    site_rows,
    verdict_of_site,
)
from eyebright_simulations.study.sites_options import SitesOptions
from eyebright_simulations.study.sites_result import SiteRow, SiteVerdict
from eyebright_simulations.study.sites_verdicts import LOUD, sites_findings

TASK = get_task("fundus")
C = len(TASK.classes)
OPTIONS = SitesOptions(folds=2, replicates=100)
SCATTERED = st.tuples(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, C - 1), st.sampled_from(["a", "a", "b", "c"])),
        min_size=90,
        max_size=120,
    ),
    st.integers(0, 1000),
)


@settings(max_examples=40)
@given(SCATTERED)
def test_nobody_who_was_ever_at_the_site_is_learned_from(case: tuple[list[tuple[int, int, str]], int]) -> None:
    rows, seed = case
    groups, labels = (np.array([row[column] for row in rows], dtype=np.int64) for column in (0, 1))
    names, site_of = numbered([row[2] for row in rows])
    for site in range(len(names)):
        there = set(groups[site_of == site].tolist())
        elsewhere = [i for i, group in enumerate(groups.tolist()) if group not in there]
        if len(set(groups[elsewhere].tolist())) < 10:
            continue  # too few are left to learn from; that has a test of its own
        parts = site_parts(groups, labels, site_of, site, seed=seed)
        assert np.array_equal(parts.test, np.flatnonzero(site_of == site))
        assert sorted([*parts.train.tolist(), *parts.validation.tolist()]) == elsewhere
        again = site_parts(groups, labels, site_of, site, seed=seed)
        assert np.array_equal(again.train, parts.train)


@settings(max_examples=40)
@given(SCATTERED)
def test_spanning_groups_are_those_seen_at_two_sites(case: tuple[list[tuple[int, int, str]], int]) -> None:
    rows, _ = case
    _, site_of = numbered([row[2] for row in rows])
    places: dict[int, set[str]] = {}
    for group, _, site in rows:
        places.setdefault(group, set()).add(site)
    found = spanning_groups(np.array([row[0] for row in rows]), site_of)
    assert found.tolist() == sorted(group for group, sites in places.items() if len(sites) > 1)


def test_a_site_without_which_nothing_is_left_is_refused() -> None:
    groups, labels = np.arange(6) // 2, np.arange(6) % 2
    with pytest.raises(InputError, match=r"with site 1 \(by name\) held out there would be 0 training pictures"):
        site_parts(groups, labels, np.arange(6) % 2, 0, seed=0)


def test_answers_among_some_classes_are_what_is_left_of_the_others() -> None:
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]])
    allowed = np.array([[True, True, False, False], [False, True, True, False]])
    assert answers_among(probabilities, allowed) == pytest.approx(
        np.array([[1 / 3, 2 / 3, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]])
    )


def test_who_knows_the_site_alone_has_one_answer_per_site() -> None:
    # Site 0 has 30 of class 0 and 10 of class 1, site 1 has 10 and 40: answering 0 and 1, recalls are 30/40 and 40/50.
    labels = np.repeat([0, 1, 0, 1], [30, 10, 10, 40])
    site_of = np.repeat([0, 0, 1, 1], [30, 10, 10, 40])
    assert site_alone(labels, site_of) == pytest.approx((30 / 40 + 40 / 50) / 2)
    assert site_alone(labels[:40], site_of[:40]) == pytest.approx(1 / 2)


def drop(value: float | None, lower: float = 0.0, upper: float = 0.0) -> SiteDrop:
    interval = None if value is None else Interval(lower=lower, upper=upper, level=0.95, replicates=100)
    found = Measured(value=value, interval=interval)
    return SiteDrop(site="a", images=9, groups=9, pooled=found, held_out=found, drop=found)


@pytest.mark.parametrize(
    ("classes", "found", "verdict"),
    [
        (3, drop(0.1, 0.01, 0.2), "owed to the site"),
        (3, drop(-0.1, -0.2, -0.01), "reversed"),
        (3, drop(0.1, 0.0, 0.2), "not settled"),
        (3, drop(None), "not settled"),
        (1, drop(0.5, 0.4, 0.6), "cannot be told"),
        (0, None, "cannot be told"),
        (2, None, "too small"),
        (2, SiteDrop(site="a", images=9, groups=9, pooled=None, held_out=None, drop=None), "too small"),
    ],
)
def test_a_drop_is_a_finding_only_with_its_whole_interval_on_one_side(
    classes: int, found: SiteDrop | None, verdict: SiteVerdict
) -> None:
    assert verdict_of_site(classes, found) == verdict


GROUPS = np.repeat(np.arange(150), 2)
FOLD_OF = np.repeat(np.arange(150) // 3 % 2, 2)
EAST_WEST_NORTH = np.array(["east", "north", "west"])[GROUPS % 3]


def answers_of(labels: np.ndarray, positions: np.ndarray, right: float, *, wrong: int) -> np.ndarray:
    """Return answers of which a share is right at every site and class; the others are ``wrong``."""
    said = labels[positions].copy()
    for site in np.unique(EAST_WEST_NORTH[positions]):
        for label in range(C):
            those = np.flatnonzero((EAST_WEST_NORTH[positions] == site) & (labels[positions] == label))
            said[those[: round((1.0 - right) * len(those))]] = wrong
    return np.eye(C)[said] * 0.9 + 0.1 / C


def made(
    out: Path,
    labels: np.ndarray,
    held_out: Sequence[float],
    *,
    sites: np.ndarray = EAST_WEST_NORTH,
    swapped: bool = False,
) -> BothAnswers:
    """Write the records of a finished comparison: pooled all right, held out right in a share by site; read them."""
    (out / "work").mkdir(parents=True)
    (out / "jobs").mkdir()
    np.savez(out / "work" / "folds.npz", fold=FOLD_OF, groups=GROUPS, labels=labels, sites=sites)
    names, site_of = numbered(sites)
    for fold in range(2):
        parts = fold_parts(GROUPS, labels, FOLD_OF, fold, seed=7)
        probabilities = answers_of(labels, parts.test, 1.0, wrong=0)
        job = held_out_job("ce", HeldOut(by="fold", number=fold), 0)
        write_record(out, job, parts=parts, probabilities=probabilities, facts={"seconds": 1.0})
    for site, right in zip(range(len(names)), held_out, strict=True):
        parts = site_parts(GROUPS, labels, site_of, site, seed=7)
        if swapped:
            parts = FoldParts(
                groups=GROUPS, train=parts.train, validation=parts.validation, test=np.flatnonzero(site_of == site)
            )
            object.__setattr__(parts, "train", np.append(parts.train, parts.test[0]))
        probabilities = answers_of(labels, parts.test, right, wrong=0)
        job = held_out_job("ce", HeldOut(by="site", number=site), 0)
        write_record(out, job, parts=parts, probabilities=probabilities, facts={"seconds": 1.0})
    return BothAnswers.read(OPTIONS, out, TASK)


def rows_of(answers: BothAnswers) -> dict[str, SiteRow]:
    return {row.site: row for row in site_rows(answers, replicates=100, seed=7)}


def findings_of(answers: BothAnswers) -> list[str]:
    everywhere, *sites = site_rows(answers, replicates=100, seed=7)
    return sites_findings(
        everywhere, sites, spanning=(0, 0), pooled_trained_on=answers.pooled_trained_on, folds_run=2, folds=2
    )


EVEN = np.repeat(np.arange(150) // 3 % C, 2)  # every class at every site


def test_the_drop_is_what_was_lost_at_the_site_and_is_said_aloud(tmp_path: Path) -> None:
    answers = made(tmp_path, EVEN, (0.5, 1.0, 1.0))
    rows = rows_of(answers)
    # Of class 0 the "wrong" answer 0 is right, so three recalls of four fall to about a half.
    east = rows["east"].figures["balanced_accuracy"]
    assert east.pooled.value == 1.0
    assert east.held_out.value == pytest.approx((1.0 + 3 * 0.5) / 4, abs=0.03)
    assert east.drop.value == pytest.approx(1.0 - (east.held_out.value or 0.0))
    assert [row.verdict for row in rows.values()] == [
        "owed to the site",
        "owed to the site",
        "not settled",
        "not settled",
    ]
    assert rows["east"].comparable["balanced_accuracy"] == east
    assert rows["all sites"].tested == 300
    assert rows["east"].site_alone == pytest.approx(1 / C)
    everywhere, ranked, at_east, at_east_ranked, at_north, *_ = findings_of(answers)
    assert everywhere.startswith("OWED TO THE SITE everywhere: a student that never saw the site does worse")
    assert ranked.startswith("OWED TO THE SITE everywhere, in the ranking: macro AUROC 100.0% pooled")
    assert at_east.startswith("OWED TO THE SITE at east: ")
    assert "100.0% pooled" in at_east
    assert at_east_ranked.startswith("OWED TO THE SITE at east, in the ranking: ")
    assert at_north.startswith("Not settled at north: ")
    assert "no proof" in at_north


def test_a_site_with_one_class_is_said_to_be_that_and_only_its_recall_is_given(tmp_path: Path) -> None:
    labels = np.where(EAST_WEST_NORTH == "west", 2, EVEN)
    answers = made(tmp_path, labels, (1.0, 1.0, 0.5))
    west = rows_of(answers)["west"]
    assert west.verdict == "cannot be told"
    assert west.figures["recall.glaucoma"].drop.value == pytest.approx(0.5)
    assert west.figures["balanced_accuracy"] == west.figures["recall.glaucoma"]
    assert west.figures["macro_auroc"].pooled.value is None
    assert west.figures["recall.normal"].drop.value is None
    assert west.site_alone == 1.0
    (sentence,) = [one for one in findings_of(answers) if "west" in one]
    assert sentence.startswith("CANNOT BE TOLD at west: every picture there is glaucoma")
    assert "100.0% pooled, 50.0% held out" in sentence


def test_a_class_that_only_one_site_has_is_left_out_of_the_verdict_and_named(tmp_path: Path) -> None:
    labels = np.where((EVEN == 3) & (EAST_WEST_NORTH != "west"), 2, EVEN)  # class 3 in the west alone
    answers = made(tmp_path, labels, (1.0, 1.0, 1.0))
    silent = np.where(labels[answers.positions] == 3, 2, labels[answers.positions])
    unknowing = BothAnswers(
        **{name: getattr(answers, name) for name in BothAnswers.__dataclass_fields__}
        | {"held_out": np.eye(C)[silent] * 0.9 + 0.1 / C}
    )
    west = rows_of(unknowing)["west"]
    assert west.untaught == ("cataract",)
    assert west.comparable_classes == ("normal", "diabetic_retinopathy", "glaucoma")
    assert west.figures["recall.cataract"].held_out.value == 0.0
    assert west.figures["balanced_accuracy"].drop.value == pytest.approx(0.25)
    assert west.comparable["balanced_accuracy"].drop.value == 0.0
    assert west.verdict == "not settled"
    assert any(
        one.startswith("CANNOT BE CHECKED at west: without the site no picture teaches cataract")
        for one in findings_of(unknowing)
    )


def test_where_every_site_has_a_class_of_its_own_nothing_can_be_compared(tmp_path: Path) -> None:
    labels = np.array([0, 1, 2])[GROUPS % 3]
    answers = made(tmp_path, labels, (0.0, 0.0, 0.0))
    rows = rows_of(answers)
    assert all(row.verdict == "cannot be told" and not row.comparable for row in rows.values())
    assert rows["all sites"].site_alone == 1.0
    said = findings_of(answers)
    assert said[0].startswith("CANNOT BE CHECKED everywhere: normal, diabetic retinopathy and glaucoma")
    assert all(any(word in one for word in LOUD) for one in said[:4])


def test_a_site_with_few_patients_is_named_and_not_measured(tmp_path: Path) -> None:
    sites = np.where((EAST_WEST_NORTH == "west") & (GROUPS > 30), "east", EAST_WEST_NORTH)
    answers = made(tmp_path, EVEN, (1.0, 1.0, 1.0), sites=sites)
    west = rows_of(answers)["west"]
    assert (west.groups, west.verdict) == (10, "too small")
    assert west.figures["balanced_accuracy"].drop.value is None
    assert "Not measured at west: fewer than 20 groups of patients." in findings_of(answers)


def test_learning_from_much_less_without_the_site_is_said(tmp_path: Path) -> None:
    sites = np.where(EAST_WEST_NORTH == "west", "east", EAST_WEST_NORTH)
    answers = made(tmp_path, EVEN, (1.0, 1.0), sites=sites)
    said = [one for one in findings_of(answers) if one.startswith("Without ")]
    assert len(said) == 1
    assert "Without east there are" in said[0]
    assert "part of the drop there may be that" in said[0]


def test_patients_at_several_sites_and_folds_not_run_are_said() -> None:
    made_row = SiteRow(
        site="east",
        tested=0,
        groups=0,
        labels={"normal": 1, "glaucoma": 1},
        untaught=(),
        comparable_classes=("normal", "glaucoma"),
        spanning_groups=3,
        trained_on=None,
        site_alone=0.5,
        figures={},
        comparable={},
        verdict="too small",
    )
    said = sites_findings(made_row, [made_row], spanning=(3, 11), pooled_trained_on=10.0, folds_run=1, folds=5)
    assert "Not measured at east: none of its pictures is in a fold that was run." in said
    assert any(one.startswith("3 groups of patients have pictures at more than one site (11 pictures)") for one in said)
    assert said[-1].startswith("Only 1 of 5 folds")


def test_a_site_whose_patients_are_mostly_elsewhere_is_called_so(tmp_path: Path) -> None:
    second = np.arange(len(GROUPS)) % 2 == 1
    sites = np.where(EAST_WEST_NORTH == "north", "west", EAST_WEST_NORTH)
    sites[second & (sites == "west") & (GROUPS < 100)] = "annex"
    answers = made(tmp_path, EVEN, (1.0, 1.0, 1.0), sites=sites)
    annex = rows_of(answers)["annex"]
    assert annex.groups == annex.spanning_groups > 0
    assert any(one.startswith("Most patients of annex are at other sites too") for one in findings_of(answers))
    assert not any("Most patients of east" in one for one in findings_of(answers))


def test_a_student_that_saw_the_site_stops_the_report(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a site was not unseen"):
        made(tmp_path, EVEN, (1.0, 1.0, 1.0), swapped=True)


def test_several_seeds_are_refused_and_there_is_no_teacher_to_the_identity() -> None:
    with pytest.raises(InputError, match="one student per fold and site: 2"):
        SitesOptions(seeds=2).check()
    assert not any("teacher" in name for name in SitesOptions().identity())
    assert SitesOptions(epochs=3).identity() != SitesOptions().identity()
