"""Whole systems, put together from the floors below: one folder each. They never import each other."""
