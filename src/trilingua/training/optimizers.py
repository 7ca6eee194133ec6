"""Which optimizer updates which parameter, and the learning rate of each step.

Holds AdamW and Muon set-ups, the schedule (a pure function of the step, so that it needs no saving) and the
optimizer state as named tensors. Knows no loop and no model beyond its named parameters.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trilingua.core.errors import CheckpointError

Schedule = Literal["cosine", "constant", "wsd"]

_INPUT_OR_OUTPUT = re.compile(r"(^|[._])(lm_head|output_head|head|embed\w*)([._]|$)")


def learning_rate_at(
    step: int, *, schedule: Schedule, peak: float, min_ratio: float, warmup_steps: int, max_steps: int, decay_steps: int
) -> float:
    """Return the learning rate of step `step` (0 is the first).

    Rises linearly over `warmup_steps`, reaching `peak` in the last of them. Then "constant" stays; "cosine"
    falls over all the rest to `min_ratio * peak` at `max_steps`; "wsd" stays and falls linearly over the last
    `decay_steps`, so that a run cut before them goes on with a larger `max_steps` as if it had been planned so.
    Source: WSD: Hu et al., MiniCPM, section 4.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "constant":
        return peak
    start = warmup_steps if schedule == "cosine" else max(warmup_steps, max_steps - decay_steps)
    progress = min(max(step - start, 0) / max(max_steps - start, 1), 1.0)
    fall = (1 - math.cos(math.pi * progress)) / 2 if schedule == "cosine" else progress
    return peak * (1 - (1 - min_ratio) * fall)


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Return whether Muon may update this parameter: a 2-D weight that is neither an embedding nor an output head.

    Embeddings and heads are known by name: a part that is `head`, `lm_head`, `output_head` or starts with `embed`.
    Learned places and queries count as hidden: they are many vectors that are mixed at once, as a matrix's rows are.
    """
    return parameter.ndim == 2 and not _INPUT_OR_OUTPUT.search(name)


def build_optimizers(
    module: nn.Module,
    *,
    kind: Literal["adamw", "muon"],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    is_hidden: Callable[[str, Tensor], bool] = is_hidden_matrix,
) -> list[torch.optim.Optimizer]:
    """Return the optimizers that together update every parameter of `module` that requires gradients, each once.

    Weight decay acts on matrices, tables and convolutions, not on norms and biases. Muon's updates are
    scaled to AdamW's size, so that one learning rate serves both.

    Args:
        module: its parameters must already be on their device.
        kind: "adamw", or "muon" for hidden matrices with AdamW for the rest.
        learning_rate: that of every group until the trainer sets another.
        weight_decay: decoupled, per unit of learning rate.
        betas: of AdamW.
        is_hidden: which parameters Muon takes.
    """
    named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    hidden = [parameter for name, parameter in named if kind == "muon" and is_hidden(name, parameter)]
    taken = {id(parameter) for parameter in hidden}
    rest = [parameter for _, parameter in named if id(parameter) not in taken]
    decayed = [parameter for parameter in rest if parameter.ndim >= 2]
    spared = [parameter for parameter in rest if parameter.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": weight_decay}] if decayed else []
    groups += [{"params": spared, "weight_decay": 0.0}] if spared else []
    optimizers: list[torch.optim.Optimizer] = []
    if groups:
        # Tensors on the meta device have sizes and no values; the fused kernel refuses them.
        fused = all(parameter.is_floating_point() and not parameter.is_meta for parameter in rest)
        optimizers.append(torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=fused))
    if hidden:
        optimizers.append(
            torch.optim.Muon(hidden, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers


def set_learning_rate(optimizers: Iterable[torch.optim.Optimizer], learning_rate: float) -> None:
    """Set the learning rate of every group."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate


def optimizer_tensors(
    module: nn.Module, optimizers: Iterable[torch.optim.Optimizer], whole: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """Return the optimizers' state as tensors named `parameter name/quantity`; learning rates are not part of it.

    Args:
        module: what the optimizers were built from.
        optimizers: theirs.
        whole: gathers a tensor that is spread over processes; every process must then call this function.
    """
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    tensors = {}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                for quantity, value in optimizer.state.get(parameter, {}).items():
                    assert isinstance(value, Tensor), f"{quantity} of the optimizer is no tensor and would be lost"
                    tensors[f"{names[id(parameter)]}/{quantity}"] = whole(value)
    return tensors


def load_optimizer_tensors(
    module: nn.Module,
    optimizers: Iterable[torch.optim.Optimizer],
    tensors: Mapping[str, Tensor],
    like: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Set the optimizers' state to what `optimizer_tensors` returned.

    Args:
        module: what the optimizers were built from.
        optimizers: theirs.
        tensors: the state.
        like: (value, parameter) -> the value placed as the parameter is: device, spread over processes.

    Raises:
        CheckpointError: the state names a parameter that the optimizers do not update.
    """
    states: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, quantity = key.rpartition("/")
        states.setdefault(name, {})[quantity] = value
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                state = states.pop(names[id(parameter)], None)
                if state is not None:
                    optimizer.state[parameter] = {
                        # step counters have no axes: they stay one number, on the device where AdamW expects them
                        key: like(value, parameter) if value.ndim else value.to(_local(parameter).device, copy=True)
                        for key, value in state.items()
                    }
    if states:
        raise CheckpointError(
            f"optimizer state of {next(iter(states))}: no such trained parameter in this model; "
            f"resume with the configuration that the run was started with"
        )


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter
