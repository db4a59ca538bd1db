"""The golden cases of a release as the runtime at hand is held to them.

A network in less precision may differ by what the release itself says it loses (``VariantFacts.golden_tolerance``,
measured on the server), and by no more. Decisions and must-refer cases are the same for all.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eyebright_common.release import GoldenCases, GoldenReport, Precision, Release, prove, read_golden
from eyebright_edge.runtime.protocol import Runtime


def golden_for(precision: Precision, folder: Path, release: Release) -> GoldenCases:
    """Return the golden cases with the tolerance that holds for ``precision``.

    Raises:
        ReleaseError: the cases cannot be read, or belong to another release.
    """
    golden = read_golden(folder, release)
    variant = release.variant(precision)
    return golden if variant is None else replace(golden, tolerance=max(golden.tolerance, variant.golden_tolerance))


def prove_runtime(runtime: Runtime, folder: Path, release: Release) -> GoldenReport:
    """Run a release's golden cases on a runtime and compare, at the shipped threshold.

    Raises:
        GoldenMismatch: an output has the wrong shape.
        ReleaseError: the cases cannot be read.
    """
    return prove(runtime.run, golden_for(runtime.precision, folder, release), release.threshold.value)
