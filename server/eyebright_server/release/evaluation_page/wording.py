"""Numbers and names as a person reads them: shares as percentages, AUROC and kappa as decimals, a dash for nothing."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

MISSING = "—"
_BRIEF = {"cnv": "CNV", "dme": "DME", "no_dme": "No DME"}
_TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "macro_auroc": "Macro AUROC",
    "quadratic_kappa": "Quadratic kappa",
    "ece": "Calibration error (ECE)",
    "referable.auroc": "Referable AUROC",
    "referable.sensitivity": "Sensitivity at the shipped threshold",
    "referable.specificity": "Specificity at the shipped threshold",
}
_UNITS = {
    "picture": "Pictures",
    "eye_worst": "Eyes, worst picture",
    "eye_mean": "Eyes, mean of pictures",
    "patient_worst": "Patients, worst picture",
    "patient_mean": "Patients, worse eye mean",
}
_FACTS = {"age_band": "Age band", "quality": "Picture quality"}
_VALUES = {("eye", "R"): "Right", ("eye", "L"): "Left", ("eye", "U"): "Unknown"}


def percent(share: float | None) -> str:
    """Return a share as a percentage with one decimal: ``0.8734`` is ``87.3%``."""
    return MISSING if share is None else f"{100 * share:.1f}%"


def plain(word: str) -> str:
    """Return a snake_case word as plain words with a capital: ``too_dark`` is ``Too dark``."""
    text = word.replace("_", " ").replace(":", ": ").strip()
    return _BRIEF.get(word, text[:1].upper() + text[1:])


def title(statistic: str, min_specificity: float) -> str:
    """Return the name of a statistic for a person."""
    if statistic == "referable.sensitivity_at_specificity":
        return f"Best sensitivity at {100 * min_specificity:g}% specificity"
    return _TITLES[statistic]


def unit_title(unit: str) -> str:
    """Return what is counted."""
    return _UNITS[unit]


def fact_title(fact: str) -> str:
    """Return the name of a fact about pictures."""
    return _FACTS.get(fact, plain(fact))


def value_title(fact: str, value: str) -> str:
    """Return the value of a fact: as written, except for the letters of eyes."""
    return _VALUES.get((fact, value), value)


def is_decimal(statistic: str) -> bool:
    """Whether a statistic is written as a decimal, not as a percentage."""
    return "auroc" in statistic or "kappa" in statistic


def estimate(found: Mapping[str, float | None] | None, decimal: bool = False) -> Markup:
    """Return a figure with its interval below it."""
    if found is None or found["value"] is None:
        return Markup('<span class="missing">{}</span>').format(MISSING)
    value, lower, upper = found["value"], found["lower"], found["upper"]
    shown = f"{value:.3f}" if decimal else percent(value)
    if lower is None or upper is None:
        return Markup("{}").format(shown)
    ends = f"{lower:.3f} to {upper:.3f}" if decimal else f"{100 * lower:.1f} to {100 * upper:.1f}%"
    return Markup('{}<small class="range">{}</small>').format(shown, ends)
