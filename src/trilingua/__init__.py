"""Trilingua: one token space and one family of models that reads and writes text, images and 3D scenes."""

__version__ = "0.1.0"
