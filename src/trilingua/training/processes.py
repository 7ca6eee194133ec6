"""Several processes that train one model: joining them through `accelerate`, and what they must agree on.

With one process every question here is answered at once. Knows no model and no batch.
"""

import os
import warnings
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, gather_object
from torch import Tensor

from trilingua.core.errors import ConfigError


def make_accelerator(*, find_unused_parameters: bool) -> Accelerator:
    """Return the accelerator that joins the processes started by `accelerate launch`, or this one alone.

    Raises:
        ConfigError: several processes were started but would train apart, in one run directory.
    """
    ddp = DistributedDataParallelKwargs(find_unused_parameters=find_unused_parameters)
    # Told that there is no device, accelerate joins CPU processes; left to itself it would train each one alone.
    accelerator = Accelerator(kwargs_handlers=[ddp], cpu=not torch.accelerator.is_available())
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != accelerator.num_processes:
        raise ConfigError(
            f"{started} processes were started but {accelerator.num_processes} joined: they would train apart in one "
            f"run directory; start them with `accelerate launch --multi_gpu`, or start one process"
        )
    asked_to_shard = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    if asked_to_shard and accelerator.distributed_type != DistributedType.FSDP:
        warnings.warn("FSDP was asked for but works between several GPUs only; every process holds all", stacklevel=2)
    return accelerator


def require_even_shares(num_batches: int, accelerator: Accelerator) -> None:
    """Raise unless each process can take as many of a step's batches.

    Raises:
        ConfigError: they cannot be dealt out evenly.
    """
    world = accelerator.num_processes
    if num_batches % world:
        raise ConfigError(
            f"gradient_accumulation: {num_batches} batches a step cannot be dealt out to {world} processes; "
            f"choose a multiple of {world}"
        )


def sum_over_processes(value: float, accelerator: Accelerator) -> float | Tensor:
    """Return the sum of `value` over processes, on the device; 1 where it is 0, since it is there to divide by."""
    if accelerator.num_processes == 1:
        return value or 1.0
    total = torch.tensor(value, device=accelerator.device)
    torch.distributed.all_reduce(total)
    return torch.where(total == 0, torch.ones_like(total), total)


def any_process(flags: list[bool], accelerator: Accelerator) -> list[bool]:
    """Return for each flag whether it is set in any process."""
    if accelerator.num_processes == 1:
        return flags
    votes = torch.tensor(flags, dtype=torch.int32, device=accelerator.device)
    torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MAX)
    return [bool(vote) for vote in votes.tolist()]


def gather_from(values: list[Any], accelerator: Accelerator) -> list[Any]:
    """Return the lists of all processes, joined."""
    return values if accelerator.num_processes == 1 else gather_object(values)
