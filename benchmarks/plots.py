"""How a plot of a benchmark is kept."""

from pathlib import Path

from matplotlib.figure import Figure

from trilingua.core.io import atomic_path


def save_figure(figure: Figure, out: Path) -> None:
    """Write a figure in the format that the file's ending names; all of it, or nothing."""
    # Without a date the same figure is the same file.
    dated = {"metadata": {"Date": None}} if out.suffix == ".svg" else {}
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format=out.suffix[1:], dpi=110, **dated)
