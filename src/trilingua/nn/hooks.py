"""Reading what a layer returns while a model runs, without changing the model."""

from typing import Any

from torch import Tensor, nn


class LastOutput:
    """A forward hook that keeps what a layer returned; knows nothing else, since copies of a layer copy its hooks."""

    def __init__(self) -> None:
        self.output: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        """Keep the output."""
        self.output = output
