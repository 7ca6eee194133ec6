"""How CLEVR's attribute words look: colours and sizes.

Renderers, the 3D export and the report all take them from here. Nothing here draws.
"""

from collections.abc import Mapping
from types import MappingProxyType

COLORS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "gray": (87, 87, 87),
        "red": (173, 35, 35),
        "blue": (42, 75, 215),
        "green": (29, 105, 20),
        "brown": (129, 74, 25),
        "purple": (129, 38, 192),
        "cyan": (41, 208, 208),
        "yellow": (255, 238, 51),
    }
)
"""Red, green and blue of each colour word, 0 to 255.

CLEVR hands `value / 255` to its renderer as a linear base colour, so its pictures look lighter than these
numbers do on a screen. Source: CLEVR generator, `properties.json`.
"""

HALF_SIZES: Mapping[str, float] = MappingProxyType({"large": 0.7, "small": 0.35})
"""Radius of a sphere or cylinder, half a cylinder's height and half a cube's side, in metres.

Source: CLEVR generator, `properties.json`. The generator means to shrink cubes by the square root of 2 but never
does: it tests for the name `Cube` and the asset is called `SmoothCube_v2`.
"""
