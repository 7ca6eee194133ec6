"""Checkpoints on disk: safetensors and JSON, whole or not at all.

    RUN/model.safetensors             the weights to use
    RUN/state/step_00001000/          what is needed to go on: *.safetensors, state.json
    RUN/state/step_00001000/manifest.json   size and digest of each of them

A checkpoint is made in a hidden folder, flushed to disk, and gets its name at the very end; one whose files
do not agree with its manifest is passed over. Nothing is pickled. Knows no optimizer and no loop.
"""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trilingua.core.config import differences
from trilingua.core.errors import CheckpointError, WriteError
from trilingua.core.io import digest_file

_MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished_"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One whole checkpoint on disk."""

    folder: Path
    step: int
    state: dict[str, Any]
    """The JSON values given to `save_checkpoint`."""

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of the file `name`, on the CPU, in memory of their own; empty if there is no such file."""
        path = self.folder / f"{name}.safetensors"
        # cloned: a loaded tensor may start at any byte of the file, and unaligned memory can be rounded otherwise
        return {key: value.clone() for key, value in load_file(path).items()} if path.exists() else {}


def save_checkpoint(
    run_dir: Path,
    *,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    keep_last: int = 2,
) -> Path:
    """Write a checkpoint and return its folder; earlier ones are removed but for the last `keep_last`.

    However it ends, the checkpoints that were there before are whole, and a part of a new one is never taken for one.

    Args:
        run_dir: the run directory.
        step: optimizer steps made so far.
        tensors: file name (without suffix) to named tensors that share no memory.
        state: JSON values.
        keep_last: at least 1.

    Raises:
        WriteError: the disk is full or not writable.
    """
    root = run_dir / "state"
    unfinished = root / f"{_UNFINISHED}{step:08d}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(root)
        unfinished.mkdir()
        for name, named in tensors.items():
            _save_tensors(unfinished / f"{name}.safetensors", named)
        _write(unfinished / "state.json", json.dumps(dict(state), allow_nan=False))
        files = {path.name: path for path in sorted(unfinished.iterdir())}
        entries = {name: {"bytes": path.stat().st_size, "sha256": digest_file(path)} for name, path in files.items()}
        _write(unfinished / _MANIFEST, json.dumps({"step": step, "files": entries}, indent=2))
        _flush_folder(unfinished)
        final = checkpoint_folder(run_dir, step)
        if final.exists():
            shutil.rmtree(final)
        unfinished.rename(final)
        _flush_folder(root)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        steps = [_step_of(folder) for folder in _folders(run_dir)]
        safe = f"the checkpoint of step {steps[0]} is untouched" if steps else "there is no earlier checkpoint"
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise WriteError(
            f"{root}: step {step} could not be saved ({reason}); {safe}; free some space and go on with --resume"
        ) from error
    folders = _folders(run_dir)
    kept = [folder for folder in folders if _step_of(folder) <= step][:keep_last]
    for folder in set(folders) - set(kept):  # a later one is torn, or the run would have gone on from it
        shutil.rmtree(folder, ignore_errors=True)
    return final


def checkpoint_folder(run_dir: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return run_dir / "state" / f"step_{step:08d}"


def publish_weights(run_dir: Path, folder: Path, tensors: Mapping[str, Tensor], *, linked: bool) -> Path:
    """Put the weights to use at `RUN/model.safetensors`, whole or not at all, and return that path.

    Args:
        run_dir: the run directory.
        folder: a checkpoint of it.
        tensors: the weights to use.
        linked: they are the checkpoint's own `model.safetensors`, which then takes no second place on disk.

    Raises:
        WriteError: the disk is full or not writable; the file that was there stays.
    """
    path = run_dir / "model.safetensors"
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}")
    if linked:
        with contextlib.suppress(OSError):  # not every file system has hard links
            unfinished.unlink(missing_ok=True)
            os.link(folder / path.name, unfinished)
            unfinished.replace(path)
            _flush_folder(run_dir)
            return path
    save_weights(path, tensors)
    return path


def find_checkpoint(run_dir: Path) -> Checkpoint | None:
    """Return the newest checkpoint whose files are as they were written; warns of each torn one passed over."""
    for folder in _folders(run_dir):
        problem = _find_problem(folder)
        if problem is None:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            return Checkpoint(folder=folder, step=_step_of(folder), state=state)
        warnings.warn(f"{folder}: {problem}; this checkpoint is passed over", stacklevel=2)
    return None


def require_checkpoint(run_dir: Path) -> Checkpoint:
    """Return what `find_checkpoint` returns.

    Raises:
        CheckpointError: there is nothing to resume.
    """
    checkpoint = find_checkpoint(run_dir)
    if checkpoint is None:
        if run_dir.exists():
            raise CheckpointError(
                f"{run_dir}: holds no whole checkpoint, so there is nothing to resume; start another run directory"
            )
        raise CheckpointError(
            f"{run_dir}: no such run directory, so there is nothing to resume; start without --resume"
        )
    return checkpoint


def require_same(checkpoint: Checkpoint, saved: Any, current: Any) -> None:
    """Check that two JSON trees are equal.

    Raises:
        CheckpointError: names the first field that differs, both values, and how many more there are.
    """
    found = list(differences(saved, json.loads(json.dumps(current))))  # as it would have been saved: no tuples
    if found:
        path, old, new = found[0]
        more = f" ({len(found) - 1} more fields differ)" if len(found) > 1 else ""
        raise CheckpointError(
            f"{checkpoint.folder}: {path} was {json.dumps(old)} when it was saved and is {json.dumps(new)} now{more}; "
            f"resume with the saved settings, or start another run directory"
        )


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and persistent buffers of `module` by name, each once even where parts share it."""
    persistent = module.state_dict(keep_vars=True)
    named = [*module.named_parameters(), *module.named_buffers()]  # both leave out second names of the same tensor
    return {name: tensor.detach() for name, tensor in named if name in persistent}


def save_weights(path: Path, tensors: Mapping[str, Tensor], *, dtype: torch.dtype | None = None) -> None:
    """Write tensors to a safetensors file, whole or not at all; floating point in `dtype` if it is given.

    Raises:
        WriteError: the disk is full or not writable; a file that was there stays.
    """
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}")
    stored = {
        name: (item if dtype is None or not item.is_floating_point() else item.to(dtype)).contiguous().cpu()
        for name, item in tensors.items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _save_tensors(unfinished, stored)
        unfinished.replace(path)
        _flush_folder(path.parent)
    except (OSError, safetensors.SafetensorError) as error:
        unfinished.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise WriteError(f"{path}: could not be written ({reason}); free some space and try again") from error


def save_module(module: nn.Module, path: Path, *, dtype: torch.dtype | None = None, prefix: str = "") -> None:
    """Write a module's weights as `save_weights` does, their names behind `prefix`."""
    save_weights(path, {prefix + name: tensor for name, tensor in module_tensors(module).items()}, dtype=dtype)


def load_weights(module: nn.Module, path: Path, *, prefix: str = "") -> None:
    """Fill `module` with the weights of a safetensors file, whatever their type there.

    Args:
        module: what is filled; nothing of it changes if the weights do not fit.
        path: the file.
        prefix: names of the file that do not begin so are passed over.

    Raises:
        CheckpointError: the file is missing, torn, or its names or shapes are not those of the module.
    """
    copy_tensors(module_tensors(module), read_weights(path, prefix=prefix), str(path))


def read_weights(path: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors of a safetensors file whose names begin with `prefix`, by the rest of their names.

    Raises:
        CheckpointError: the file is missing or torn.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; this folder is no finished run")
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            names = [name for name in opened.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): opened.get_tensor(name) for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: is torn or no safetensors file ({error}); copy or save it again") from error


def copy_tensors(targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy each of `tensors` into the target of its name.

    Raises:
        CheckpointError: a name is missing on one side, or the shapes differ; nothing is copied then.
    """
    for name in [*targets, *tensors]:
        if name not in tensors or name not in targets:
            side = "lacks" if name in targets else "has, unlike this model,"
            raise CheckpointError(f"{where}: {side} the tensor {name}; use the configuration that it was trained with")
        if tensors[name].shape != targets[name].shape:
            shapes = f"{list(tensors[name].shape)}, this model's has {list(targets[name].shape)}"
            raise CheckpointError(f"{where}: {name} has shape {shapes}; use the configuration that it was trained with")
    with torch.no_grad():
        for name, target in targets.items():
            target.copy_(place_like(tensors[name], target))


def whole_tensor(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU, gathered if it is spread over processes (then every process must call this)."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).cpu().contiguous()


def place_like(value: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor moved to where `like` is: its device, and spread over processes as it is."""
    if hasattr(like, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)  # type: ignore[attr-defined]
    return value.to(like.device, copy=True)


def _folders(run_dir: Path) -> list[Path]:
    """Return the checkpoint folders, newest first."""
    return sorted((run_dir / "state").glob("step_" + "[0-9]" * 8), reverse=True)


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step_"))


def _find_problem(folder: Path) -> str | None:
    """Say what is wrong with a checkpoint folder, or None if it is whole."""
    try:
        entries = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, entry in entries.items():
            path = folder / name
            if path.stat().st_size != entry["bytes"] or digest_file(path) != entry["sha256"]:
                return f"{name} is not as it was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{_MANIFEST} is not readable"
    return None if "state.json" in entries else "state.json is missing"


def _remove_unfinished(root: Path) -> None:
    for left_over in root.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left_over, ignore_errors=True)


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file(dict(tensors), path)
    path.chmod(0o644)  # it comes out readable by its owner alone
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
