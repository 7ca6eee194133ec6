"""Shapes to codes and back: one interface, and a module for each of the papers' choices."""
