"""``table.md`` of a comparison of sites, and its first lines on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eyebright_simulations.report.words import MISSING, count, counted, duration, percent, plain
from eyebright_simulations.report.words import points as in_points
from eyebright_simulations.study.result_schema import MAIN
from eyebright_simulations.study.sites_result import AUROC, Comparison, SiteRow, SitesResult
from eyebright_simulations.study.sites_verdicts import LOUD
from eyebright_simulations.study.summary import print_findings
from eyebright_simulations.study.table import grid, with_interval
from eyebright_simulations.study.verdicts import spread

_COLOURS = {
    "owed to the site": "bold red",
    "reversed": "bold red",
    "cannot be told": "bold red",
    "not settled": "yellow",
    "too small": "dim",
}


def sites_table(result: SitesResult) -> str:
    """Return the page."""
    blocks = [
        f"# Sites, pooled and held out: {result.task}, {result.options['recipe']}",
        "\n".join(f"- {finding}" for finding in result.findings),
        "What can be compared:" if _differ(result) else "",
        grid(["site", *_HEAD, "verdict"], [_compared(row, row.comparable, row.verdict) for row in result.rows]),
        *_everything(result),
        "Recall by class, pooled → held out:",
        grid(["site", *map(plain, result.data.labels)], [_recalls(result, row) for row in result.rows]),
        "Pictures:",
        grid(_PICTURE_HEAD + [plain(name) for name in result.data.labels], [_pictures(row) for row in result.rows]),
        "\n".join(_notes(result)),
        f"Command:\n\n```\n{result.command}\n```",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in result.versions.items()) + ".",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


_HEAD = ["balanced accuracy, pooled", "held out", "drop", "macro AUROC, pooled", "held out", "drop"]
_PICTURE_HEAD = ["site", "compared", "groups", "at several sites", "learned from without it", "the site alone"]


def print_sites(console: Console, result: SitesResult, out: Path) -> None:
    """Print what came out, and where the files are."""
    table = Table(title="Pooled, and at sites never seen", title_justify="left", box=box.SIMPLE)
    table.add_column("")
    for heading in ("pooled", "held out", "drop, points", "AUROC", ""):
        table.add_column(heading, justify="right")
    for row in result.rows:
        main, ranking = row.comparable.get(MAIN), row.comparable.get(AUROC)
        table.add_row(
            escape(row.site),
            MISSING if main is None else percent(main.pooled.value),
            MISSING if main is None else percent(main.held_out.value),
            MISSING if main is None else spread(main.drop).replace(" points", ""),
            MISSING if ranking is None else f"{percent(ranking.pooled.value)} → {percent(ranking.held_out.value)}",
            f"[{_COLOURS[row.verdict]}]{row.verdict}[/]",
        )
    console.print(table)
    print_findings(console, result.findings, loud=LOUD)
    for file in ("table.md", "result.json"):
        console.print(str(out / file), soft_wrap=True, highlight=False)
    console.print("[dim]Research use. Not for diagnosis.[/dim]")


def _compared(row: SiteRow, figures: Mapping[str, Comparison], verdict: str | None) -> list[str]:
    cells = [row.site]
    for name in (MAIN, AUROC):
        found = figures.get(name)
        cells += [MISSING] * 3 if found is None else _three(found)
    return cells if verdict is None else [*cells, verdict]


def _three(found: Comparison) -> Sequence[str]:
    return with_interval(found.pooled), with_interval(found.held_out), spread(found.drop)


def _everything(result: SitesResult) -> Iterator[str]:
    if _differ(result):
        yield "Every picture and every answer, also of classes that could not be learned without the site:"
        yield grid(["site", *_HEAD], [_compared(row, row.figures, None) for row in result.rows])


def _differ(result: SitesResult) -> bool:
    return any(row.comparable.get(name) != row.figures.get(name) for row in result.rows for name in (MAIN, AUROC))


def _recalls(result: SitesResult, row: SiteRow) -> list[str]:
    def cell(name: str) -> str:
        found = row.figures.get(f"recall.{name}")
        if found is None or found.pooled.value is None:
            return MISSING
        return f"{percent(found.pooled.value)} → {percent(found.held_out.value)} ({in_points(found.drop.value)})"

    return [row.site, *(cell(name) for name in result.data.labels)]


def _pictures(row: SiteRow) -> list[str]:
    return [
        row.site,
        count(row.tested),
        count(row.groups),
        count(row.spanning_groups),
        count(row.trained_on),
        percent(row.site_alone),
        *(count(number) for number in row.labels.values()),
    ]


def _notes(result: SitesResult) -> Iterator[str]:
    data, options, machine = result.data, result.options, result.machine
    yield (
        f"- {counted(data.images, 'picture')} of {counted(data.patients, 'patient')} in "
        f"{counted(data.groups, 'group')} (a patient with every near-duplicate) at {len(result.sites)} sites; "
        f"{options['folds']} folds by group, {result.folds_run} run."
    )
    if data.left_out:
        yield "- Left out: " + ", ".join(f"{reason} {count(number)}" for reason, number in data.left_out.items()) + "."
    yield (
        f"- Pooled: {result.student} trained on labels alone, each picture predicted by the fold that never saw its "
        f"group, from {count(round(result.pooled_trained_on))} pictures on average. Held out: the same student with "
        "the same passes, trained without every group that was ever at the site. Both are calibrated on a validation "
        "share of the groups they may learn from."
    )
    yield (
        "- Balanced accuracy is the mean recall of the classes a site has. Who knows the site and nothing else, and "
        "always gives the same answer there, gets at most the figure under *the site alone*; who recognises the site "
        "can also rule out the classes it lacks. AUROC at one site compares pictures of that site alone, so "
        "recognising it gains nothing; over all sites it does. AUROC is missing where there is one class."
    )
    yield (
        "- What can be compared: pictures of classes the student without the site was taught, and answers among those, "
        "in both trainings. Verdicts go by this."
    )
    yield (
        f"- Intervals: 95 %, {options['replicates']:,} resamples of whole groups, the drop within each. They cover "
        "other patients; not other folds, trainings or sites."
    )
    times = ", ".join(f"{who} {duration(seconds)}" for who, seconds in result.job_seconds.items())
    yield (
        f"- Machine: {counted(machine.cores, 'core')}, {machine.processor}, trained on {machine.device}; mean time of "
        f"a training: {times}."
    )
