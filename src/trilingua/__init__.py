"""Trilingua: one token space and one family of models that reads and writes text, images and 3D scenes.

`load()` gives a trained model; `Scene` is what it reads and writes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trilingua.scenes.scene import Scene, SceneObject
    from trilingua.systems.kyvo.pipeline import Kyvo

__version__ = "0.1.0"
__all__ = ["Scene", "SceneObject", "__version__", "load", "shipped_folder", "shipped_model"]


def shipped_folder() -> Path:
    """Return the folder of the run directories that come with the package."""
    return Path(__file__).parent / "shipped"


def shipped_model() -> Path:
    """Return the run directory of the model that comes with the package."""
    return shipped_folder() / "kyvo-clevr"


def load(run: str | Path | None = None, *, device: str = "cpu") -> "Kyvo":
    """Return a trained model, ready to use.

    Args:
        run: a run directory; None for the shipped model.
        device: "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: there is no such folder.
        CheckpointError: the folder is no run, or a file of it is missing or torn.
    """
    from trilingua.systems.kyvo.pipeline import Kyvo

    return Kyvo.load(run or shipped_model(), device=device)


def __getattr__(name: str) -> Any:
    """Import `Scene` and `SceneObject` when they are first asked for, so that importing the package is quick."""
    if name in ("Scene", "SceneObject"):
        from trilingua.scenes import scene

        return getattr(scene, name)
    raise AttributeError(f"module 'trilingua' has no attribute {name!r}")
