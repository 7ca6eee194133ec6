"""What the trainer is given: a task that owns a model, and a stream of batches that can be resumed.

Holds the two protocols only. A system implements them; the trainer sees nothing else of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

Metrics = Mapping[str, float | Tensor]
"""Name to number; tensors hold one element and may still be on the device."""


@runtime_checkable
class TrainTask(Protocol):
    """A model and what to do with a batch. Inherit from it to get the defaults below."""

    def modules(self) -> nn.Module:
        """Return the module to train, always the same one; what requires no gradient stays as it is."""
        ...

    def loss(self, batch: Any) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean loss of a batch and further numbers to record.

        Runs in training mode, under autocast, with torch's random numbers seeded from (seed, step, batch):
        noise drawn from torch's own generators is the same however often a run was interrupted.
        """
        ...

    def evaluate(self, step: int, out_dir: Path) -> Metrics:
        """Return numbers on held-out data; may write pictures into `out_dir`. Runs without gradients, in eval mode."""
        return {}

    def batch_weight(self, batch: Any) -> float:
        """Return how much a batch counts among those of one step: the number of its supervised tokens."""
        return 1.0

    def num_tokens(self, batch: Any) -> int:
        """Return the number of tokens that a batch sends through the model, for the speed; 0 if that makes no sense."""
        return 0

    def fingerprint(self) -> dict[str, Any]:
        """Return the JSON that a checkpoint must agree with to be resumed, e.g. configuration and vocabulary digest."""
        return {}

    def write_run_files(self, run_dir: Path) -> None:
        """Write what a run directory needs to be loaded without the trainer: `config.json`, `vocabulary.json`."""
        return


@runtime_checkable
class BatchStream(Protocol):
    """An endless iterator over batches whose position can be saved.

    With several processes every process holds the same stream; the trainer deals the batches out. A
    stream may also have `skip()`, which passes over one batch without making it.
    """

    def __next__(self) -> Any:
        """Return the next batch, on the CPU."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the position as JSON values: what was drawn so far, not what was read ahead."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position that `state_dict` returned."""
        ...
