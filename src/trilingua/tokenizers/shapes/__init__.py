"""Shapes to codes and back, behind one interface."""
