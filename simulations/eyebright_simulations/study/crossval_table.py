"""``table.md`` of a cross-validation: a page that stands by itself in ``docs/results``."""

from __future__ import annotations

from collections.abc import Iterator

from eyebright_simulations.report.words import count, counted, duration, plain
from eyebright_simulations.study.crossval_result import COLUMNS, CrossvalResult
from eyebright_simulations.study.result_schema import MAIN
from eyebright_simulations.study.table import COLUMNS as METRICS
from eyebright_simulations.study.table import grid, with_interval
from eyebright_simulations.study.verdicts import spread


def crossval_table(result: CrossvalResult) -> str:
    """Return the page."""
    blocks = [
        f"# Cross-validation: {result.task}, {result.options['recipe']}",
        "\n".join(f"- {finding}" for finding in findings(result)),
        "Balanced accuracy by fold:",
        grid(["fold", *COLUMNS], list(_folds(result))),
        "All folds pooled, every picture once:",
        grid(["", *COLUMNS], list(_pooled(result))),
        "\n".join(_notes(result)),
        f"Command:\n\n```\n{result.command}\n```",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in result.versions.items()) + ".",
    ]
    return "\n\n".join(blocks) + "\n"


def findings(result: CrossvalResult) -> Iterator[str]:
    """Yield the sentences a reader should not miss."""
    gaps = {name: spread(column[MAIN]) for name, column in result.comparisons.items()}
    yield (
        f"The student {result.student} keeps {with_interval(result.kept)} of its teacher's balanced accuracy "
        f"({result.teacher}; difference {gaps['student minus teacher']})."
    )
    looks = result.options["test_views"]
    yield (
        f"Test-time augmentation ({looks} looks) moves the teacher by {gaps['teacher with TTA minus teacher']}, the "
        f"student by {gaps['student with TTA minus student']}. Compare columns with columns of the same kind only."
    )
    if result.folds_run < result.options["folds"]:
        yield f"Only {result.folds_run} of {result.options['folds']} folds were run; the numbers are of those alone."


def _folds(result: CrossvalResult) -> Iterator[list[str]]:
    for number, fold in enumerate(result.folds, start=1):
        yield [str(number), *(with_interval(fold[column][MAIN]) for column in COLUMNS)]
    means = (result.spread[column] for column in COLUMNS)
    yield ["mean ± deviation of folds", *(f"{100 * one.mean:.1f} ± {100 * one.deviation:.1f}" for one in means)]
    yield ["pooled", *(with_interval(result.pooled[column][MAIN]) for column in COLUMNS)]


def _pooled(result: CrossvalResult) -> Iterator[list[str]]:
    names = METRICS | {f"recall.{name}": f"recall, {plain(name)}" for name in result.classes}
    for metric, title in names.items():
        yield [title, *(with_interval(result.pooled[column][metric]) for column in COLUMNS)]


def _notes(result: CrossvalResult) -> Iterator[str]:
    data, options, machine = result.data, result.options, result.machine
    yield (
        f"- {counted(data.images, 'picture')} of {counted(data.patients, 'patient')} in "
        f"{counted(data.groups, 'group')} (a patient with every near-duplicate); {options['folds']} folds by group, "
        f"{result.folds_run} run: {counted(result.pictures_tested, 'picture')} tested, each once."
    )
    yield "- By class: " + ", ".join(f"{plain(name)} {count(number)}" for name, number in data.labels.items()) + "."
    if data.left_out:
        yield "- Left out: " + ", ".join(f"{reason} {count(number)}" for reason, number in data.left_out.items()) + "."
    yield (
        "- The teacher of a fold learned from that fold's training patients alone, and was calibrated on patients it "
        "shares with nobody; its student had the same patients, and no other fold's teacher."
    )
    yield (
        f"- Intervals: 95 %, {options['replicates']:,} resamples of whole groups, the same for every column. They "
        "cover other patients, not other folds or trainings. The deviation of folds is what papers print beside a mean."
    )
    times = ", ".join(f"{who} {duration(seconds)}" for who, seconds in result.job_seconds.items())
    yield (
        f"- Machine: {counted(machine.cores, 'core')}, {machine.processor}, trained on {machine.device}; mean time of "
        f"a fold: {times}."
    )
