"""``table.md``: the study as a Markdown page that stands by itself in ``docs/results``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eyebright_simulations.report.words import MISSING, count, counted, difference_interval, duration, percent, plain
from eyebright_simulations.report.words import points as in_points
from eyebright_simulations.study.result_schema import Estimate, Row, StudyResult
from eyebright_simulations.study.verdicts import interval_of

COLUMNS = {
    "balanced_accuracy": "balanced accuracy",
    "macro_auroc": "macro AUROC",
    "referable.auroc": "referable AUROC",
    "ece": "ECE",
}


def study_table(result: StudyResult) -> str:
    """Return the page."""
    title = "Ablation" if result.kind == "ablation" else "Teachers"
    blocks = [
        f"# {title}: {result.task}, {result.options['recipe']}",
        "\n".join(f"- {finding}" for finding in result.findings),
        grid(["", *_headings(result), "verdict"], [_main_row(result, row) for row in result.rows]),
        "![Balanced accuracy and difference to the control](plot.svg)",
        "Recall by class:",
        grid(["", *(plain(name) for name in result.classes)], [_recalls(result, row) for row in result.rows]),
        "\n".join(_notes(result)),
        "Losses of each arm (weight of each term; `temperature` is T of those on logits, `multi_view` a probability):",
        grid(["arm", "recipe", "mean time of a training"], list(_recipes(result))),
        f"Command:\n\n```\n{result.command}\n```",
        "Versions: " + ", ".join(f"{name} {number}" for name, number in result.versions.items()) + ".",
    ]
    return "\n\n".join(blocks) + "\n"


def with_interval(found: Estimate | None) -> str:
    """Return a share with its interval: ``81.2% (78.0 to 84.1)``."""
    if found is None or found.value is None:
        return MISSING
    if found.lower is None or found.upper is None:
        return percent(found.value)
    return f"{percent(found.value)} ({100 * found.lower:.1f} to {100 * found.upper:.1f})"


def gap_with_interval(row: Row) -> str:
    """Return the difference to the control in points, with its interval; nothing for the control itself."""
    if row.role == "control":
        return MISSING
    spread = difference_interval(interval_of(row.difference))
    return in_points(row.difference.value) + (f" ({spread})" if spread else "")


def _headings(result: StudyResult) -> list[str]:
    names = list(COLUMNS.values())
    return [names[0], "difference to `ce`", *(["kept of teacher"] * (result.kind == "ablation")), *names[1:]]


def _main_row(result: StudyResult, row: Row) -> list[str]:
    cells = [with_interval(row.metrics[name]) for name in COLUMNS]
    kept = [with_interval(row.kept)] * (result.kind == "ablation")
    return [_name(row), cells[0], gap_with_interval(row), *kept, *cells[1:], row.verdict]


def _recalls(result: StudyResult, row: Row) -> list[str]:
    return [_name(row), *(with_interval(row.metrics[f"recall.{name}"]) for name in result.classes)]


def _recipes(result: StudyResult) -> Iterator[list[str]]:
    for row in result.rows:
        terms = ", ".join(f"{term} {weight:g}" for term, weight in row.recipe.items() if weight)
        yield [_name(row), terms or "labels, as a teacher", duration(result.job_seconds[row.name])]


def _name(row: Row) -> str:
    return f"`{row.name}`" + {"control": " (control)", "teacher": " (teacher)", "arm": ""}[row.role]


def _notes(result: StudyResult) -> Iterator[str]:
    data, options = result.data, result.options
    yield (
        f"- {counted(data.images, 'picture')} of {counted(data.patients, 'patient')} in "
        f"{counted(data.groups, 'group')} (a patient with every near-duplicate); {options['folds']} folds by group, "
        f"{result.folds_run} run: {counted(result.pictures_tested, 'picture')} of "
        f"{counted(result.groups_tested, 'group')} tested, each once per seed."
    )
    yield "- By class: " + ", ".join(f"{plain(name)} {count(number)}" for name, number in data.labels.items()) + "."
    if data.left_out:
        yield "- Left out: " + ", ".join(f"{reason} {count(number)}" for reason, number in data.left_out.items()) + "."
    yield (
        f"- Intervals: 95 %, {options['replicates']:,} resamples of whole groups, the same for every row, so "
        f"differences are paired. Metrics are averaged over {counted(result.control.seeds, 'seed')}, probabilities "
        "never. The intervals cover other patients; not other folds or teachers, and not the number of rows looked at. "
        "Resampling makes every ECE larger, so on few pictures its interval lies above its value."
    )
    yield (
        "- Every student: the same initial weights, views, order, schedule and last pass; calibrated, like the "
        "teacher, by a temperature fitted on the fold's validation part. A fold's teacher never saw that fold's test "
        "groups."
    )
    machine = result.machine
    yield f"- Machine: {counted(machine.cores, 'core')}, {machine.processor}, trained on {machine.device}."


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
