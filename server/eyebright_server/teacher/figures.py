"""What a person is shown of a training: a line for every epoch, and the figures of its parts side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from eyebright_learning.training import EpochRecord
    from eyebright_server.teacher.record import Figure, Measured

_SHOWN = ("balanced_accuracy", "macro_auroc", "referable.auroc", "ece")


def epoch_line(epoch: EpochRecord) -> str:
    """Return one line about an epoch."""
    losses = "  ".join(f"{name} {value:.4f}" for name, value in epoch.losses.items())
    return f"epoch {epoch.epoch}/{epoch.epochs}  {losses}  rate {epoch.learning_rate:.2e}"


def figures_table(validation: Measured, test: Measured | None) -> Table:
    """Return the figures of the validation part and, where there is one, of the test part."""
    parts = {"validation": validation, **({"test": test} if test is not None else {})}
    table = Table("", *(f"{name}, {part.pictures:,} pictures" for name, part in parts.items()))
    recalls = [name for name in validation.figures if name.startswith("recall.")]
    for name in (*_SHOWN, *recalls):
        words = name.replace("_", " ").replace(".", " ").replace("auroc", "AUROC").replace("ece", "ECE")
        table.add_row(words, *(_shown(part.figures[name]) for part in parts.values()))
    return table


def _shown(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    return f"{figure.value:.3f}" + ("" if figure.lower is None else f" ({figure.lower:.3f} to {figure.upper:.3f})")
