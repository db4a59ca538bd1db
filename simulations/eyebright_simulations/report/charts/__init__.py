"""Inline SVG, one kind of chart per file, written by hand so that the style sheet rules light, dark and print.

Each function takes values and returns safe markup. Every chart stands beside a table or a sentence with its numbers, so
the drawing is one picture to a screen reader. Colour never carries meaning alone: lines are labelled where they end,
arms have their own shapes.
"""

from eyebright_simulations.report.charts.arms import arm_bars
from eyebright_simulations.report.charts.hundred import hundred
from eyebright_simulations.report.charts.journey import JourneyFacts, journey
from eyebright_simulations.report.charts.marks import legend_mark
from eyebright_simulations.report.charts.recalls import recall_dots
from eyebright_simulations.report.charts.reliability import reliability_diagram
from eyebright_simulations.report.charts.roc import roc_chart
from eyebright_simulations.report.charts.rounds import Line, round_chart

__all__ = [
    "JourneyFacts",
    "Line",
    "arm_bars",
    "hundred",
    "journey",
    "legend_mark",
    "recall_dots",
    "reliability_diagram",
    "roc_chart",
    "round_chart",
]
