"""Text on the page has the contrast that WCAG 2.2 AA asks for, in light and in dark."""

import re
from importlib.resources import files

import pytest

_ENOUGH = 4.5
_TEXT = ("ink", "soft", "accent", "good", "warn", "bad", "missing")
_SHAPES = ("student", "teacher", "best_local", "pooled", "no_distillation")


def _palettes() -> dict[str, dict[str, str]]:
    css = (files("eyebright_simulations.report") / "templates" / "style.css").read_text()
    roots = re.findall(r":root \{([^}]*)\}", css)
    light, dark, paper = (dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", root)) for root in roots)
    return {"light": light, "dark": {**light, **dark}, "print": {**light, **paper}}


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c + c for c in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_contrast_the_standard_gives() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21.0)


@pytest.mark.parametrize("mode", ["light", "dark", "print"])
@pytest.mark.parametrize("ground", ["paper", "card", "faint"])
@pytest.mark.parametrize("colour", _TEXT)
def test_words_can_be_read_on_every_ground(mode: str, ground: str, colour: str) -> None:
    palette = _palettes()[mode]
    assert _contrast(palette[colour], palette[ground]) >= _ENOUGH


@pytest.mark.parametrize("mode", ["light", "dark", "print"])
@pytest.mark.parametrize("colour", _SHAPES)
def test_marks_and_lines_stand_out_from_the_page(mode: str, colour: str) -> None:
    palette = _palettes()[mode]
    assert _contrast(palette[colour], palette["paper"]) >= 3.0
