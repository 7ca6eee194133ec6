"""Renderers of structured scenes: one protocol, a built-in one and one that runs in Blender."""
