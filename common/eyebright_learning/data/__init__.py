"""Prepared pictures as one array, with what learning must know about each of them. NumPy only."""

from eyebright_learning.data.prepared_images import PreparedImages

__all__ = ["PreparedImages"]
