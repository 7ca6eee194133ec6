"""Where torch can compute, and where not."""

import torch

from trilingua.core.errors import ConfigError


def require_device(device: str) -> None:
    """Raise unless torch can compute there.

    Args:
        device: "cpu", "cuda" or "cuda:1".

    Raises:
        ConfigError: it is not there, or this torch was built without it.
    """
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(
            f"device: {device!r} cannot be used here; expected cpu, or cuda on a machine that has a GPU"
        ) from error
