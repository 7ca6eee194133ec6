"""Bottlenecks: vectors to codes and back, one a module."""
