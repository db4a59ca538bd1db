"""Synthetic cohorts: patients who never existed, so that the whole network can be rehearsed without a real picture.

* ``generate`` draws both eyes of every patient of every site and writes JPEG files and a manifest.
* Everything follows from the seed: the same seed gives the same bytes, however many workers draw.
* A site has its own camera and its own mix of diseases: the domain shift that a federation has to overcome.
* Pictures stand for what they are called, and no single pixel statistic gives the class away; tests hold both.
* These are drawings. They rehearse the machinery and prove nothing about a real eye.
"""

from eyebright_simulations.cohorts.generation import generate
from eyebright_simulations.cohorts.sites import SiteSpec, default_sites

__all__ = ["SiteSpec", "default_sites", "generate"]
