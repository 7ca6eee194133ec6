"""A pinhole camera: where a point of the world falls in the picture, and which way its ground directions point.

Frames: world is right-handed with z up, in metres. A camera looks along its own -z axis with y up and x to
the right. Picture coordinates are columns and rows from the top left corner, so that the centre of the first
pixel is (0.5, 0.5). This module knows no scenes, no lights and no pixels' colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from trilingua.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera without lens distortion, its axis through the middle of the picture."""

    world_from_camera: Float[np.ndarray, "4 4"]
    """Rigid transform; its columns are the camera's right, up and backward axes and its position."""
    focal_length: float
    """In pixels, the same for columns and rows."""
    width: int
    """Of the picture, in pixels."""
    height: int

    @property
    def position(self) -> Float[np.ndarray, "3"]:
        """Where the camera stands, in metres."""
        return self.world_from_camera[:3, 3]

    @property
    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """The camera's right, up and backward axes as columns, in world axes."""
        return self.world_from_camera[:3, :3]

    def project(self, points: Float[np.ndarray, "*point 3"]) -> Float[np.ndarray, "*point 3"]:
        """Return column and row in pixels from the top left corner, and depth in metres along the axis.

        Points behind the camera have negative depth and a mirrored place; the caller looks at the depth.

        Args:
            points: places in the world, in metres.

        Differs: CLEVR rounds column and row to whole pixels; these are not rounded.
        """
        local = (np.asarray(points, dtype=np.float64) - self.position) @ self.rotation
        depth = -local[..., 2]
        column = self.width / 2 + self.focal_length * local[..., 0] / depth
        row = self.height / 2 - self.focal_length * local[..., 1] / depth
        return np.stack([column, row, depth], axis=-1)


def look_at(
    position: Sequence[float],
    target: Sequence[float] = (0.0, 0.0, 0.0),
    *,
    focal_length: float,
    width: int,
    height: int,
) -> Camera:
    """Return a camera that stands at `position`, looks at `target` and keeps the horizon level.

    Args:
        position: in metres.
        target: in metres; not `position`, and not straight above or below it.
        focal_length: in pixels.
        width: of the picture, in pixels.
        height: of the picture, in pixels.

    Raises:
        ConfigError: the position does not define a level view of the target.
    """
    eye = np.asarray(position, dtype=np.float64)
    backward = eye - np.asarray(target, dtype=np.float64)
    right = np.cross((0.0, 0.0, 1.0), backward)
    if not np.linalg.norm(right) > 1e-9 * np.linalg.norm(backward):
        raise ConfigError(
            f"camera at {tuple(position)}: cannot look at {tuple(target)} with a level horizon; move it sideways"
        )
    right /= np.linalg.norm(right)
    backward /= np.linalg.norm(backward)
    world_from_camera = np.eye(4)
    world_from_camera[:3, 0] = right
    world_from_camera[:3, 1] = np.cross(backward, right)
    world_from_camera[:3, 2] = backward
    world_from_camera[:3, 3] = eye
    return Camera(world_from_camera=world_from_camera, focal_length=focal_length, width=width, height=height)


def directions_for_camera(camera: Camera) -> dict[str, tuple[float, float, float]]:
    """Return the unit vectors of left, right, front, behind, above and below, in world axes.

    `behind` is the camera's line of sight and `left` its left axis, both projected on the ground; `above` is
    the ground's normal. Source: CLEVR, `render_images.py`.
    """
    right = camera.rotation[:, 0] * (1.0, 1.0, 0.0)
    behind = -camera.rotation[:, 2] * (1.0, 1.0, 0.0)
    right = right / np.linalg.norm(right)
    behind = behind / np.linalg.norm(behind)
    vectors = {
        "right": right,
        "behind": behind,
        "above": np.array([0.0, 0.0, 1.0]),
        "below": np.array([0.0, 0.0, -1.0]),
        "left": -right,
        "front": -behind,
    }
    return {name: (float(x), float(y), float(z)) for name, (x, y, z) in vectors.items()}
