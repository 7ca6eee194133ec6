"""Train the toy task from the command line: `run_toy.py RUN SETTINGS_JSON`."""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin, PartialState
from tests.training.toy import ToyStream, ToyTask, toy_config

from trilingua.training.callbacks import Callback, MetricsFile
from trilingua.training.trainer import Trainer


class Signal(Callback):
    """Sends this process a signal after a step."""

    def __init__(self, number: int, at: int) -> None:
        self.number, self.at = number, at

    def on_step(self, step: int) -> None:
        if step == self.at:
            os.kill(os.getpid(), self.number)


def shard_on_cpu() -> None:
    """Make accelerate use FSDP2 between CPU processes, which it offers between GPUs only."""
    state = Accelerator(cpu=True).state
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        cpu_ram_efficient_loading=False,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=["Linear"],
        state_dict_type="FULL_STATE_DICT",
        reshard_after_forward=True,
    )
    PartialState().distributed_type = state.distributed_type = DistributedType.FSDP
    state.fsdp_plugin = plugin
    os.environ["ACCELERATE_USE_FSDP"] = "true"


def main() -> None:
    run_dir, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    resume, signal_name, at = settings.pop("resume", False), settings.pop("signal", None), settings.pop("at", 0)
    if settings.pop("fsdp", False):
        shard_on_cpu()
    task = ToyTask(dropout=settings.pop("dropout", 0.0))
    callbacks: list[Callback] = [MetricsFile()]
    if signal_name:
        callbacks.append(Signal(getattr(signal, signal_name), at))
    trainer = Trainer(task, ToyStream(), toy_config(**settings), run_dir, callbacks)
    result = trainer.fit(resume=resume)
    sys.stdout.write(
        f"{result.reason} {result.step} {PartialState().num_processes} {type(trainer._parameters[0]).__name__}\n"
    )


if __name__ == "__main__":
    main()
