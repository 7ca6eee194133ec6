"""What a shape data directory is to hold, where it lies, and how it is read back.

An object is two files: arrays in a compressed `.npz`, which holds no code, and a record in `.json` that is written
after it. A mesh that could not be used has a record alone, with the reason. Knows nothing of how content comes about.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from trilingua.core.errors import ConfigError, InputError
from trilingua.core.io import atomic_path, existing_folder, read_json
from trilingua.data.directory import check_count, check_split
from trilingua.geometry.cameras import Camera
from trilingua.geometry.distance_samples import DistanceSamples
from trilingua.geometry.mesh_pictures import MeshPicture
from trilingua.geometry.meshes import Frame, Mesh, SurfacePoints
from trilingua.geometry.posed_views import PosedViews
from trilingua.geometry.voxels import Voxels

PREFIX = "SHAPE"

DEPTH_STEP = 1 / 8192
"""Depths are kept as whole numbers of this step, up to 8."""

_LEAST = {"num_objects": 1, "num_points": 1, "num_uniform": 0, "num_near": 0, "num_random_views": 0, "view_size": 8}


@dataclass(frozen=True, kw_only=True)
class ShapesConfig:
    """What a shape data directory holds; it is written into the directory and checked when work is resumed."""

    num_objects: int
    """Number of objects, at least 1. It may grow when work is resumed."""
    seed: int = 0
    """Seed of everything random."""
    split: str = "new"
    """Name of the split: letters, digits, '-' and '_'; `unseen` holds the combinations that no other split has."""
    num_points: int = 8192
    """Points of the surface of each object, with normals and colours."""
    num_uniform: int = 8192
    """Signed distances at uniform places."""
    num_near: int = 8192
    """Signed distances near the surface."""
    num_random_views: int = 6
    """Pictures from random places, after the six from fixed ones."""
    view_size: int = 128
    """Side of the pictures in pixels, from 8 to 1024."""
    voxel_resolution: int = 64
    """Cells along each side of the voxel grid, a multiple of 4, 8 to 256."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            check_count(name, getattr(self, name), least)
        check_split(self.split)
        if self.view_size > 1024:
            raise ConfigError(f"view_size: {self.view_size} is not allowed; expected 8 to 1024")
        if self.voxel_resolution % 4 or not 8 <= self.voxel_resolution <= 256:
            raise ConfigError(
                f"voxel_resolution: {self.voxel_resolution} is not allowed; give a multiple of 4 from 8 to 256"
            )


@dataclass(frozen=True, kw_only=True)
class ShapesLayout:
    """Where the files of one split lie."""

    out: Path
    config: ShapesConfig

    def stem(self, index: int) -> str:
        """Return what the file names of object `index` begin with."""
        return f"{PREFIX}_{self.config.split}_{index:06d}"

    def arrays_path(self, index: int) -> Path:
        """Return where the arrays of object `index` lie."""
        return self.out / "objects" / f"{self.stem(index)}.npz"

    def record_path(self, index: int) -> Path:
        """Return where the record of object `index` lies."""
        return self.out / "objects" / f"{self.stem(index)}.json"


@dataclass(frozen=True, kw_only=True)
class ShapeArrays:
    """All that is measured of one object, which lies in [-1, 1]^3."""

    mesh: Mesh
    points: SurfacePoints
    distances: DistanceSamples
    voxels: Voxels
    cameras: list[Camera]
    """The six fixed ones first."""
    pictures: list[MeshPicture]
    """One from each camera; depth is rounded to `DEPTH_STEP`, normals to 1/127."""

    def save(self, path: Path) -> None:
        """Write all arrays to one `.npz`, atomically; equal arrays give equal bytes."""
        colors = {name: getattr(self.mesh, name) for name in ("face_colors", "vertex_colors")}
        arrays = {
            "mesh.vertices": self.mesh.vertices.astype(np.float32),
            "mesh.faces": self.mesh.faces.astype(np.int32),
            **{f"mesh.{name}": value for name, value in colors.items() if value is not None},
            "points.points": self.points.points,
            "points.normals": self.points.normals.astype(np.float16),
            "points.colors": self.points.colors,
            "distances.points": self.distances.points,
            "distances.distances": self.distances.distances,
            "voxels.coords": self.voxels.coords,
            "voxels.features": self.voxels.features.astype(np.float16),
            "voxels.resolution": np.array(self.voxels.resolution),
            "views.world_from_camera": np.stack([camera.world_from_camera for camera in self.cameras]),
            "views.focal_length": np.array([camera.focal_length for camera in self.cameras]),
            "views.image": np.stack([picture.image for picture in self.pictures]),
            "views.depth": np.stack([_packed_depth(picture.depth) for picture in self.pictures]),
            "views.normals": np.stack([_packed_normals(picture.normals) for picture in self.pictures]),
        }
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "ShapeArrays":
        """Read what `save` wrote.

        Raises:
            InputError: no such file, torn, or of another kind.
        """
        return cls(**_read_groups(path, tuple(_READERS)))


def _read_groups(path: Path, groups: Sequence[str]) -> dict[str, Any]:
    """Return some of what `ShapeArrays` holds, by name; what is not asked for is not unpacked."""
    wanted = {_ARRAYS.get(group, group) for group in groups}
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name.partition(".")[0] in wanted}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
        raise InputError(f"{path}: cannot be read, or is truncated; make it again") from error
    try:
        return {group: _READERS[group](arrays) for group in groups}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: holds no object ({error}); expected what `trilingua data shapes` writes") from error


def _group(arrays: dict[str, np.ndarray], group: str, kinds: dict[str, type] | None = None) -> dict[str, Any]:
    found = {name.split(".")[1]: value for name, value in arrays.items() if name.startswith(f"{group}.")}
    return {name: value.astype((kinds or {}).get(name, value.dtype)) for name, value in found.items()}


def _cameras(arrays: dict[str, np.ndarray]) -> list[Camera]:
    height, width = arrays["views.image"].shape[1:3]
    return [
        Camera(world_from_camera=transform, focal_length=float(focal), width=width, height=height)
        for transform, focal in zip(arrays["views.world_from_camera"], arrays["views.focal_length"], strict=True)
    ]


def _pictures(arrays: dict[str, np.ndarray]) -> list[MeshPicture]:
    parts = zip(arrays["views.image"], arrays["views.depth"], arrays["views.normals"], strict=True)
    return [
        MeshPicture(image=image, depth=depth * np.float32(DEPTH_STEP), normals=normals / np.float32(127))
        for image, depth, normals in parts
    ]


_READERS: dict[str, Callable[[dict[str, np.ndarray]], Any]] = {
    "mesh": lambda arrays: Mesh(**_group(arrays, "mesh")),
    "points": lambda arrays: SurfacePoints(**_group(arrays, "points", {"normals": np.float32})),
    "distances": lambda arrays: DistanceSamples(**_group(arrays, "distances")),
    "voxels": lambda arrays: Voxels(**_group(arrays, "voxels", {"features": np.float32, "resolution": int})),
    "cameras": _cameras,
    "pictures": _pictures,
}
"""What makes each field of `ShapeArrays` from the file's arrays."""

_ARRAYS = {"cameras": "views", "pictures": "views"}
"""What the arrays of a field are called in the file, where it is not the field's name."""


def _packed_depth(depth: Float32[np.ndarray, "height width"]) -> np.ndarray:
    return (depth.astype(np.float64) / DEPTH_STEP).round().clip(0, 65535).astype(np.uint16)


def _packed_normals(normals: Float32[np.ndarray, "height width 3"]) -> np.ndarray:
    return (normals.astype(np.float64) * 127).round().astype(np.int8)


class ShapeFolder:
    """A finished shape data directory, for reading.

    Args:
        path: the folder.

    Raises:
        InputError: no such folder, not finished, or of another kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing_folder(path)
        if not (self.path / "manifest.json").is_file():
            raise InputError(f"{path}: has no manifest.json; finish it with `trilingua data shapes`")
        self.manifest = read_json(self.path / "manifest.json")
        if not isinstance(self.manifest, dict) or not isinstance(self.manifest.get("objects"), list):
            raise InputError(f"{path}: is no shape data directory; make one with `trilingua data shapes`")
        self.records: list[dict[str, Any]] = self.manifest["objects"]

    def __len__(self) -> int:
        return len(self.records)

    def arrays(self, index: int) -> ShapeArrays:
        """Return what was measured of one object, in the order of `records`."""
        return ShapeArrays.load(self._path(index))

    def points(self, index: int) -> SurfacePoints:
        """Return the points of one object's surface, without reading more."""
        points: SurfacePoints = _read_groups(self._path(index), ["points"])["points"]
        return points

    def distances(self, index: int) -> DistanceSamples:
        """Return the places of one object with their distances, without reading more."""
        distances: DistanceSamples = _read_groups(self._path(index), ["distances"])["distances"]
        return distances

    def views(self, index: int) -> PosedViews:
        """Return the pictures of one object with their cameras, the six fixed ones first, without reading more."""
        return PosedViews(**_read_groups(self._path(index), ["cameras", "pictures"]))

    def voxels(self, index: int) -> Voxels:
        """Return the voxels of one object, without reading more."""
        voxels: Voxels = _read_groups(self._path(index), ["voxels"])["voxels"]
        return voxels

    def _path(self, index: int) -> Path:
        return self.path / "objects" / f"{self.records[index]['stem']}.npz"

    def frame(self, index: int) -> Frame:
        """Return where one object stood and how large it was."""
        return Frame.from_json(self.records[index]["frame"], f"{self.path / 'manifest.json'}: objects[{index}].frame")
