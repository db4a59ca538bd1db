"""The colours of the kiosk, and which of them stand on which: a test computes every contrast (WCAG 2.2, AA).

Colour never carries a meaning alone: each answer has a word and a shape of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

COLOURS: Mapping[str, str] = {
    "ink": "#13222b",
    "muted": "#46565f",
    "paper": "#eef2f1",
    "card": "#ffffff",
    "line": "#71828b",
    "hairline": "#d3dcda",
    "accent": "#0a5557",
    "accent-deep": "#063b3d",
    "accent-soft": "#e0efee",
    "on-accent": "#ffffff",
    "focus": "#1646c4",
    "refer": "#a01027",
    "refer-soft": "#fbe8eb",
    "clear": "#0b5b35",
    "clear-soft": "#e3f3ea",
    "unclear": "#ffd45e",
    "unclear-soft": "#fff4d1",
    "unclear-line": "#8a6100",
    "stopped": "#3a3f8c",
    "stopped-soft": "#e9eaf7",
    "on-dark": "#ffffff",
}

# What is read: text on ground, 4.5 to 1 at least.
TEXT_PAIRS = (
    ("ink", "paper"),
    ("ink", "card"),
    ("ink", "accent-soft"),
    ("ink", "unclear"),
    ("ink", "unclear-soft"),
    ("ink", "refer-soft"),
    ("ink", "clear-soft"),
    ("ink", "stopped-soft"),
    ("muted", "paper"),
    ("muted", "card"),
    ("muted", "accent-soft"),
    ("accent", "card"),
    ("accent", "paper"),
    ("accent-deep", "accent-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-deep"),
    ("on-dark", "refer"),
    ("on-dark", "clear"),
    ("on-dark", "stopped"),
    ("refer", "card"),
    ("refer", "refer-soft"),
    ("clear", "card"),
    ("unclear-line", "card"),
    ("stopped", "card"),
)
# What is only seen: borders of controls, the focus ring, icons; 3 to 1 at least.
SHAPE_PAIRS = (
    ("line", "card"),
    ("line", "paper"),
    ("focus", "card"),
    ("focus", "paper"),
    ("focus", "accent-soft"),
    ("unclear-line", "unclear-soft"),
    ("accent", "accent-soft"),
)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours ``#rrggbb``, 1–21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def palette_css() -> str:
    """Return the colours as CSS custom properties."""
    lines = "\n".join(f"  --{name}: {value};" for name, value in COLOURS.items())
    return f":root {{\n{lines}\n}}\n"


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
