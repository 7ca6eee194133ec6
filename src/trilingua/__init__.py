"""Trilingua: one token space and one family of models that reads and writes text, images and 3D scenes.

`load()` gives a trained model; `Scene` is what it reads and writes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trilingua.scenes.scene import Scene, SceneObject
    from trilingua.systems.kyvo.pipeline import Kyvo
    from trilingua.systems.shapes.pipeline import ShapeModel

__version__ = "0.1.0"
__all__ = ["Scene", "SceneObject", "__version__", "load", "load_shapes", "shipped_folder", "shipped_model"]


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
        ConfigError: there is no such device.
    """
    from trilingua.systems.kyvo.pipeline import Kyvo

    return Kyvo.load(run or shipped_model(), device=device)


def load_shapes(run: str | Path = "shape-set", *, device: str = "cpu") -> "ShapeModel":
    """Return a trained shape tokenizer, ready to use.

    Args:
        run: a run directory, or the name of a tokenizer that comes with the package.
        device: "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: there is neither.
        CheckpointError: the folder is no run of a shape tokenizer, or a file of it is missing or torn.
        ConfigError: there is no such device.
    """
    from trilingua.core.errors import InputError
    from trilingua.systems.shapes.pipeline import ShapeModel

    shipped = shipped_folder() / run
    if not Path(run).exists() and not (shipped / "config.json").is_file():
        raise InputError(
            f"tokenizer: {str(run)!r} is no run directory and does not come with the package; "
            "train one with `trilingua train shape-set`"
        )
    return ShapeModel.load(run if Path(run).exists() else shipped, device=device)


def __getattr__(name: str) -> Any:
    """Import `Scene` and `SceneObject` when they are first asked for, so that importing the package is quick."""
    if name in ("Scene", "SceneObject"):
        from trilingua.scenes import scene

        return getattr(scene, name)
    raise AttributeError(f"module 'trilingua' has no attribute {name!r}")
