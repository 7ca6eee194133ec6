"""Warp's devices: starting it without a word, and finding the device that a person names. Holds no kernel."""

import functools
import os
import sys

import warp as wp

from trilingua.core.errors import ConfigError


def find_device(name: str) -> str:
    """Return warp's name of the device called `name`: `cpu`, or `cuda` with an optional number.

    Raises:
        ConfigError: this machine has no such device.
    """
    _start_warp()
    try:
        return str(wp.get_device(name))
    except Exception as error:
        known = ", ".join(str(device) for device in wp.get_devices())
        raise ConfigError(f"device {name!r}: not available; this machine has {known}") from error


@functools.cache
def _start_warp() -> None:
    """Start warp without a word: its native part tells every machine without a GPU so, past Python's streams."""
    wp.config.log_level = wp.LOG_ERROR
    sys.stderr.flush()
    saved = os.dup(2)
    silent = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silent, 2)
        wp.init()
    finally:
        os.dup2(saved, 2)
        os.close(silent)
        os.close(saved)
