"""Starts a Python program as a process of its own, or as two that train together."""

import os
import subprocess
import sys
from collections.abc import Sequence

_TWO = [
    "--multi_gpu",
    "--num_processes",
    "2",
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
]


def start(program: Sequence[str], launcher: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run `python LAUNCHER PROGRAM` to its end; `program` begins with a script, or with `-m` and a module."""
    command = [sys.executable, *launcher, *program]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)


def start_two(program: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it in two CPU processes that know of each other."""
    port = str(29500 + os.getpid() % 20000)
    return start(program, ["-m", "accelerate.commands.launch", *_TWO, "--main_process_port", port])
