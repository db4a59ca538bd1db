"""What leaving one site out showed, in words that cannot be read two ways.

* A drop is a finding only when its whole interval lies on one side of zero. An interval that includes zero is no proof
  that the site does not matter, and the sentence says so.
* A site whose pictures are of one class is said first of all to be that: there the answer can be told from the site.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eyebright_learning.evaluation import MIN_GROUPS
from eyebright_simulations.report.words import count, counted, in_words, listed, percent
from eyebright_simulations.study.result_schema import MAIN
from eyebright_simulations.study.sites_result import AUROC, Comparison, SiteRow
from eyebright_simulations.study.verdicts import spread

LOUD = ("OWED TO THE SITE", "REVERSED", "CANNOT BE TOLD", "CANNOT BE CHECKED")
_FEW = 0.75  # learning from less than this share of what the pooled students had is worth a sentence


def sites_findings(
    everywhere: SiteRow,
    sites: Sequence[SiteRow],
    *,
    spanning: tuple[int, int],
    pooled_trained_on: float,
    folds_run: int,
    folds: int,
) -> list[str]:
    """Return the sentences, all sites together first.

    Args:
        everywhere: All sites.
        sites: Each.
        spanning: Groups with pictures at several sites, and their pictures.
        pooled_trained_on: Pictures a pooled student learned from.
        folds_run: Folds that were run.
        folds: Folds there are.
    """
    return [
        *_of_row(everywhere, "everywhere"),
        *(sentence for row in sites for sentence in _of_row(row, f"at {row.site}")),
        *_fewer(sites, pooled_trained_on),
        *_elsewhere(sites),
        *_spanning(*spanning),
        *_unfinished(folds_run, folds),
    ]


def _of_row(row: SiteRow, where: str) -> Iterator[str]:
    single = len(row.classes) == 1
    if not row.tested:
        yield f"Not measured {where}: none of its pictures is in a fold that was run."
    elif single:
        yield _single(row, where)
    elif row.verdict == "too small":
        which = " with classes that can be compared" if row.untaught else ""
        yield f"Not measured {where}: fewer than {MIN_GROUPS} groups of patients{which}."
    elif row.verdict != "cannot be told":
        yield _drop(row, where)
    elif row.comparable_classes:
        only = in_words(row.comparable_classes[0])
        yield (
            f"CANNOT BE TOLD {where}: of the classes there only {only} could be learned elsewhere, and the recall of "
            f"one class rises with leaning towards it as with seeing it{_figures(row.comparable.get(MAIN))}."
        )
    yield from _ranking(row, where)
    if row.untaught and not single:
        yield _untaught(row, where)


def _drop(row: SiteRow, where: str) -> str:
    found = row.comparable[MAIN]
    fell = f"{percent(found.pooled.value)} pooled, {percent(found.held_out.value)} held out"
    on = f" on {listed([in_words(name) for name in row.comparable_classes])}" if row.untaught else ""
    gap = f"drop of balanced accuracy{on} {spread(found.drop)}; {fell}"
    if row.verdict == "owed to the site":
        return f"OWED TO THE SITE {where}: a student that never saw the site does worse ({gap})."
    if row.verdict == "reversed":
        return (
            f"REVERSED {where}: a student that never saw the site does better ({gap}). Something in the other sites' "
            "training helps, or knowing the site harms; the pooled figure is not flattered there."
        )
    return f"Not settled {where}: {gap}. That is no proof that the site does not matter."


def _ranking(row: SiteRow, where: str) -> Iterator[str]:
    found = row.comparable.get(AUROC)
    if found is None or len(row.comparable_classes) < 2 or found.drop.lower is None or found.drop.upper is None:
        return
    fell = f"macro AUROC {percent(found.pooled.value)} pooled, {percent(found.held_out.value)} held out"
    if found.drop.lower > 0.0:
        yield f"OWED TO THE SITE {where}, in the ranking: {fell}; drop {spread(found.drop)}."
    elif found.drop.upper < 0.0:
        yield f"REVERSED {where}, in the ranking: {fell}; drop {spread(found.drop)}."


def _single(row: SiteRow, where: str) -> str:
    only = in_words(row.classes[0])
    learned = f" Without the site no picture teaches {only}, so it could not be learned." if row.untaught else ""
    return (
        f"CANNOT BE TOLD {where}: every picture there is {only}, so whoever recognises the site has the answer, and "
        f"its drop cannot be told from the site{_figures(row.figures.get(f'recall.{row.classes[0]}'))}.{learned}"
    )


def _untaught(row: SiteRow, where: str) -> str:
    named = listed([in_words(name) for name in row.untaught])
    if where == "everywhere":
        # Each of them is named at its site.
        raw = row.figures.get(MAIN)
        return (
            f"CANNOT BE CHECKED everywhere: {named} could not be learned without one of the sites{_figures(raw)} when "
            "all pictures and answers count."
        )
    return (
        f"CANNOT BE CHECKED {where}: without the site no picture teaches {named}; nothing here shows that the "
        f"pooled figure of {'it' if len(row.untaught) == 1 else 'them'} is more than the site."
    )


def _figures(found: Comparison | None) -> str:
    if found is None or found.pooled.value is None:
        return ""
    return f" ({percent(found.pooled.value)} pooled, {percent(found.held_out.value)} held out)"


def _fewer(sites: Sequence[SiteRow], pooled: float) -> Iterator[str]:
    for row in sites:
        if row.trained_on is not None and row.trained_on < _FEW * pooled:
            yield (
                f"Without {row.site} there are {counted(row.trained_on, 'picture')} to learn from, a pooled student "
                f"has {count(round(pooled))}: part of the drop there may be that."
            )


def _elsewhere(sites: Sequence[SiteRow]) -> Iterator[str]:
    for row in sites:
        if 2 * row.spanning_groups > row.groups:
            yield (
                f"Most patients of {row.site} are at other sites too ({count(row.spanning_groups)} of "
                f"{counted(row.groups, 'group')}): it is hardly a site of its own."
            )


def _spanning(groups: int, images: int) -> Iterator[str]:
    if groups:
        have = "has" if groups == 1 else "have"
        yield (
            f"{counted(groups, 'group')} of patients {have} pictures at more than one site "
            f"({counted(images, 'picture')}); when one of these sites is held out, none of them is learned from."
        )


def _unfinished(folds_run: int, folds: int) -> Iterator[str]:
    if folds_run < folds:
        yield f"Only {folds_run} of {folds} folds were run; compared are the pictures of those alone."
