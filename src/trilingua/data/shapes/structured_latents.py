"""TRELLIS's structured latents on disk: the cells of a grid that an object's surface passes, with eight numbers each.

A file is an `.npz` of two arrays: `coords` (cells, 3), whole numbers, and `feats` (cells, 8). What these numbers
mean is TRELLIS's own; nothing is known of inside, of colours, or of where the object stood.

Source: Xiang et al. 2024 (TRELLIS), section 3.1, and the files that its data tools write.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from trilingua.core.errors import InputError
from trilingua.core.io import atomic_path, existing_file, existing_folder
from trilingua.geometry.distance_samples import DistanceSamples
from trilingua.geometry.voxels import NUM_CHANNELS, Voxels

RESOLUTION = 64
"""Cells along each side of TRELLIS's grid."""


def read_structured_latents(path: str | Path, *, resolution: int = RESOLUTION) -> Voxels:
    """Return the cells of a file, in lexicographic order.

    Args:
        path: the `.npz`.
        resolution: cells along each side of the grid, which the file does not tell; at most 256.

    Raises:
        InputError: no such file, no `.npz`, torn, arrays missing or of another form, cells out of range or given
            twice, or numbers that are not finite; one line that says which.
    """
    path = existing_file(path)
    try:
        with path.open("rb") as stream:
            found = np.load(stream, allow_pickle=False)
            known = getattr(found, "files", [])
            arrays = {name: found[name] for name in ("coords", "feats") if name in known}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise InputError(f"{path}: is no .npz of arrays, or is truncated; expected coords and feats") from error
    missing = [name for name in ("coords", "feats") if name not in arrays]
    if missing:
        raise InputError(f"{path}: has no array {missing[0]}; expected coords and feats")
    return _checked(arrays["coords"], arrays["feats"], resolution, str(path))


def save_structured_latents(voxels: Voxels, path: str | Path) -> None:
    """Write cells as `read_structured_latents` and TRELLIS read them, atomically; equal cells give equal bytes."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, coords=voxels.coords, feats=voxels.features)


def _checked(coords: np.ndarray, features: np.ndarray, resolution: int, where: str) -> Voxels:
    if coords.ndim != 2 or coords.shape[1] != 3 or coords.dtype.kind not in "iu":
        raise InputError(f"{where}: coords: {_form(coords)}; expected whole numbers (cells, 3)")
    if features.shape != (len(coords), NUM_CHANNELS) or features.dtype.kind != "f":
        raise InputError(f"{where}: feats: {_form(features)}; expected numbers ({len(coords)}, {NUM_CHANNELS})")
    if not len(coords):
        raise InputError(f"{where}: coords: has no cells; expected at least 1")
    if coords.min() < 0 or coords.max() >= resolution:
        wrong = coords.min() if coords.min() < 0 else coords.max()
        raise InputError(f"{where}: coords: {wrong} is out of range; expected 0 to {resolution - 1}")
    if not (np.abs(features) <= np.finfo(np.float32).max).all():
        raise InputError(f"{where}: feats: has a number that is not finite; expected finite numbers")
    cells, order = np.unique(coords, axis=0, return_index=True)
    if len(cells) < len(coords):
        raise InputError(f"{where}: coords: {len(coords) - len(cells)} cells are given twice; expected each once")
    return Voxels(cells.astype(np.uint8), features[order].astype(np.float32), resolution)


def _form(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {list(array.shape)}"


class LatentFolder:
    """A folder of `.npz` files of structured latents, in the order of their names, for reading as shapes are.

    Args:
        path: the folder; files deeper in it count too.
        resolution: cells along each side of the grid.

    Raises:
        InputError: no such folder, or no `.npz` in it.
    """

    def __init__(self, path: str | Path, *, resolution: int = RESOLUTION) -> None:
        self.path = existing_folder(path)
        self.files = sorted(self.path.rglob("*.npz"))
        if not self.files:
            raise InputError(f"{path}: holds no .npz; expected files of structured latents")
        self.manifest: dict[str, Any] = {
            "settings": {"num_uniform": 0, "num_near": 0, "voxel_resolution": resolution},
        }

    def __len__(self) -> int:
        return len(self.files)

    def voxels(self, index: int) -> Voxels:
        """Return the cells of one object."""
        resolution: int = self.manifest["settings"]["voxel_resolution"]
        return read_structured_latents(self.files[index], resolution=resolution)

    def distances(self, index: int) -> DistanceSamples:
        """Return no places: nothing is known of distances."""
        return DistanceSamples(np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
