"""Contenders timed in turns, and what this machine is. Knows nothing of what is timed."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

_MEASURE = """
import json, os, subprocess, sys, time
start = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({"status": status, "seconds": time.perf_counter() - start, "memory": usage.ru_maxrss * unit}))
"""
"""Runs in a small process of its own: a child's peak counts its parent's memory at the moment of the fork."""


def measure_command(command: list[str]) -> dict[str, float]:
    """Run a command to its end, and return its `seconds` and the most resident `memory` that it held, in bytes.

    Raises:
        RuntimeError: it failed.
    """
    finished = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURE, *command], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    if found["status"]:
        raise RuntimeError(f"{' '.join(command[3:5])}: failed: {finished.stderr.strip()}")
    return found


def time_in_turns(
    contenders: Mapping[str, Callable[[], Any]], *, repeats: int, warm_up: bool = True
) -> dict[str, float]:
    """Return each contender's median seconds.

    They take turns, so that a machine that slows down for a while slows all of them down.

    Args:
        contenders: what to time, by name.
        repeats: turns of each, at least 1.
        warm_up: call each once before, untimed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + warm_up):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def matmul_peak(dtype: torch.dtype, *, quick: bool) -> float:
    """Return the most operations a second that a square matrix product of this type reaches here."""
    best = 0.0
    for size in (1024,) if quick else (1024, 2048, 4096):
        left, right = (torch.randn(size, size, dtype=dtype) for _ in range(2))
        for _ in range(3 if quick else 10):
            start = time.perf_counter()
            left @ right
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def describe_machine(*, quick: bool) -> tuple[list[str], float]:
    """Return lines that say what this machine is, and its peak in bfloat16 operations a second."""
    bf16, fp32 = matmul_peak(torch.bfloat16, quick=quick), matmul_peak(torch.float32, quick=quick)
    lines = [
        f"- {_processor()}, {usable_cores()} cores, {torch.get_num_threads()} threads, {_memory():.0f} GiB of memory",
        f"- Python {platform.python_version()}, torch {torch.__version__}{_transformers()}",
        f"- largest measured matrix product: {bf16 / 1e9:.0f} GFLOP/s in bfloat16, {fp32 / 1e9:.0f} in float32",
        f"- measured on {time.strftime('%Y-%m-%d')}; load before the start {os.getloadavg()[0]:.1f}",
    ]
    return lines, bf16


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _transformers() -> str:
    try:
        import transformers
    except ImportError:
        return ""
    return f", transformers {transformers.__version__}"
