"""sRGB, the scale in which files and screens hold colours, and linear light, in which light adds up.

Source: IEC 61966-2-1.
"""

import numpy as np
from jaxtyping import Float, Shaped, UInt8


def linear_from_srgb(colors: Shaped[np.ndarray, "*points channel"]) -> Float[np.ndarray, "*points channel"]:
    """Return linear light in [0, 1] of sRGB values in [0, 1], or of bytes."""
    encoded = colors / 255 if colors.dtype == np.uint8 else colors
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(light: Float[np.ndarray, "*points channel"]) -> Float[np.ndarray, "*points channel"]:
    """Return sRGB values in [0, 1] of linear light, which is cut to [0, 1]."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def bytes_from_unit(values: Float[np.ndarray, "*points channel"]) -> UInt8[np.ndarray, "*points channel"]:
    """Return the nearest bytes of values in [0, 1], which they are cut to."""
    return (values.clip(0, 1) * 255).round().astype(np.uint8)
