"""A tiny task: linear regression through a hidden layer, with dropout, and a stream of numbered batches."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trilingua.core.random import make_generator
from trilingua.training.task import TrainTask
from trilingua.training.trainer import TrainerConfig


class ToyModel(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 8)
        self.hidden = nn.Linear(8, 16)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(16, 2)
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.dropout(torch.tanh(self.hidden(self.embedding(ids))))) * self.scale


class ToyTask(TrainTask):
    def __init__(self, *, dropout: float = 0.0, vocabulary: str = "a", poison_at: int | None = None) -> None:
        torch.manual_seed(7)
        self.model = ToyModel(dropout)
        self.vocabulary = vocabulary
        self.poison_at = poison_at
        self.calls = 0
        self.seen_in_evaluation: list[dict[str, Tensor]] = []

    def modules(self) -> nn.Module:
        return self.model

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, float | Tensor]]:
        error = (self.model(batch["ids"]) - batch["target"]).square()
        noise = torch.randn(()) if self.model.dropout.p else torch.zeros(())
        self.calls += 1
        if self.poison_at is not None and self.calls > self.poison_at:
            noise = noise * math.nan
        return error.mean() * (1 + 0.1 * noise), {"largest": error.max().detach(), "one": 1.0}

    def evaluate(self, step: int, out_dir: Path) -> dict[str, float]:
        self.seen_in_evaluation.append({name: value.detach().clone() for name, value in self.model.named_parameters()})
        torch.randn(3)  # must not disturb the training that follows
        assert not self.model.training
        assert not torch.is_grad_enabled()
        if step == 4:
            (out_dir / "picture.txt").write_text("a picture")
        error = self.model(torch.arange(5)).sum()  # what is published, whatever happens to the random numbers
        return {"steps": float(step), "sum": float(error)}

    def batch_weight(self, batch: Any) -> float:
        return float(len(batch["ids"]))

    def num_tokens(self, batch: Any) -> int:
        return len(batch["ids"])

    def fingerprint(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary}

    def write_run_files(self, run_dir: Path) -> None:
        (run_dir / "config.json").write_text("{}")


class ToyStream:
    """Batch i is a function of i alone; batches are of different lengths."""

    def __init__(self, length: int | None = None) -> None:
        self.position = 0
        self.length = length

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> dict[str, Tensor]:
        if self.position == self.length:
            raise StopIteration
        generator = make_generator(3, "batch", self.position)
        ids = torch.from_numpy(generator.integers(0, 5, size=4 + self.position % 3))
        self.position += 1
        return {"ids": ids, "target": torch.stack([ids.float() - 2, ids.float() ** 2 / 8], dim=1)}

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


def toy_config(**changes: Any) -> TrainerConfig:
    values: dict[str, Any] = {"max_steps": 20, "learning_rate": 0.01, "warmup_steps": 3, "precision": "fp32"}
    values |= {"save_every_steps": 5, "save_every_seconds": 0.0, "eval_every_steps": 0, "log_every_steps": 1}
    return TrainerConfig(**(values | {"num_threads": 1} | changes))
