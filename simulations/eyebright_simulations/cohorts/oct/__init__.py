"""Synthetic OCT B-scans: boundaries of the retinal layers as curves, disease as what happens to them, speckle on top.

``layers`` holds the healthy retina, ``disease`` bends and fills it, ``scanner`` makes a noisy picture of it.
Lengths are fractions of the picture's height downwards and of its width to the right.
"""

from eyebright_simulations.cohorts.oct.scan import draw_oct
from eyebright_simulations.cohorts.oct.scanner import ScannerStyle, scanner_style

__all__ = ["ScannerStyle", "draw_oct", "scanner_style"]
