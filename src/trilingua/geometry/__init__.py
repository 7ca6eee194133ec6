"""Pure functions of places and cameras."""
