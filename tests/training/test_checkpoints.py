import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from trilingua.core.errors import CheckpointError, WriteError
from trilingua.training import checkpoints
from trilingua.training.checkpoints import (
    find_checkpoint,
    load_weights,
    module_tensors,
    publish_weights,
    require_checkpoint,
    require_same,
    save_checkpoint,
    save_weights,
)

STATE = {"stream": {"position": 3}, "must_agree": {"vocabulary": "a"}}


def save(run_dir: Path, step: int, value: float = 1.0, **options: int) -> Path:
    tensors = {"model": {"w": torch.full((3,), value)}, "optimizer": {"w/m": torch.arange(4.0)}}
    return save_checkpoint(run_dir, step=step, tensors=tensors, state=STATE, **options)


def folders(run_dir: Path) -> list[str]:
    return sorted(path.name for path in (run_dir / "state").iterdir())


def test_what_is_saved_is_found_and_the_last_ones_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save(tmp_path, step, value=step)
    assert folders(tmp_path) == ["step_00000010", "step_00000015"]
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.state) == (15, STATE)
    assert torch.equal(found.tensors("model")["w"], torch.full((3,), 15.0))
    assert torch.equal(found.tensors("optimizer")["w/m"], torch.arange(4.0))
    assert found.tensors("average") == {}
    suffixes = {path.suffix for path in found.folder.iterdir()}
    assert suffixes == {".safetensors", ".json"}  # nothing pickled
    save(tmp_path, 15, value=7.0)
    again = find_checkpoint(tmp_path)
    assert again is not None
    assert again.tensors("model")["w"][0] == 7.0


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors is not as it was written"),
        (
            lambda folder: flip_last_byte(folder / "optimizer.safetensors"),
            "optimizer.safetensors is not as it was written",
        ),
        (lambda folder: (folder / "state.json").unlink(), "state.json is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder / "manifest.json").write_text('{"files": {'), "manifest.json is not readable"),
        (lambda folder: (folder / "manifest.json").write_text('{"files": {}}'), "state.json is missing"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest.json is not readable"),
    ],
)
def test_a_torn_checkpoint_is_passed_over(tmp_path: Path, harm: object, problem: str) -> None:
    save(tmp_path, 5)
    harm(save(tmp_path, 10))  # type: ignore[operator]
    with pytest.warns(UserWarning, match="passed over") as warned:
        found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    assert [str(each.message) for each in warned] == [
        f"{tmp_path}/state/step_00000010: {problem}; this checkpoint is passed over"
    ]


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_checkpoint_that_was_never_finished_is_not_there(tmp_path: Path) -> None:
    unfinished = tmp_path / "state" / ".unfinished_00000010"
    save(tmp_path, 10).rename(unfinished)
    assert find_checkpoint(tmp_path) is None
    save(tmp_path, 20)
    assert folders(tmp_path) == ["step_00000020"]


@pytest.mark.parametrize("moment", ["manifest.json", "state.json", "model.safetensors"])
def test_dying_at_any_moment_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    save(tmp_path, 5)
    write, save_tensors = checkpoints._write, checkpoints._save_tensors

    def dying(do: object) -> object:
        def wrapped(path: Path, content: object) -> None:
            if path.name == moment:
                raise KeyboardInterrupt  # like a kill: no clean-up runs
            do(path, content)  # type: ignore[operator]

        return wrapped

    monkeypatch.setattr(checkpoints, "_write", dying(write))
    monkeypatch.setattr(checkpoints, "_save_tensors", dying(save_tensors))
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 10)
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """Make the system refuse to write more, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_one_and_says_so(tmp_path: Path) -> None:
    big = {"model": {"w": torch.zeros(1 << 18)}}
    with pytest.raises(WriteError) as raised, files_of_at_most(1 << 19):
        save_checkpoint(tmp_path, step=5, tensors=big, state=STATE)
    assert "there is no earlier checkpoint; free some space and go on with --resume" in str(raised.value)
    save(tmp_path, 5)
    with pytest.raises(WriteError) as raised, files_of_at_most(1 << 19):
        save_checkpoint(tmp_path, step=10, tensors=big, state=STATE)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}/state: step 10 could not be saved (")
    assert "File too large" in message
    assert message.endswith("; the checkpoint of step 5 is untouched; free some space and go on with --resume")
    assert "\n" not in message
    assert folders(tmp_path) == ["step_00000005"]
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    weights = tmp_path / "model.safetensors"
    save_weights(weights, {"w": torch.ones(2)})
    before = weights.read_bytes()
    with pytest.raises(WriteError, match="could not be written"), files_of_at_most(1 << 19):
        save_weights(weights, big["model"])
    assert weights.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "state"]


@pytest.mark.parametrize(("keep_last", "kept"), [(1, [8]), (2, [5, 8])])
def test_torn_checkpoints_are_not_kept_in_place_of_whole_ones(tmp_path: Path, keep_last: int, kept: list[int]) -> None:
    for step in (5, 10):
        save(tmp_path, step)
    (tmp_path / "state" / "step_00000010" / "model.safetensors").unlink()
    save(tmp_path, 8, keep_last=keep_last)  # the run has gone on from step 5
    assert folders(tmp_path) == [f"step_{step:08d}" for step in kept]


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as raised:
        require_checkpoint(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}: holds no whole checkpoint, so there is nothing to resume; start another run directory"
    )
    with pytest.raises(CheckpointError) as raised:
        require_checkpoint(tmp_path / "no")
    assert str(raised.value) == (
        f"{tmp_path}/no: no such run directory, so there is nothing to resume; start without --resume"
    )


def test_a_mismatch_names_the_field_and_both_values(tmp_path: Path) -> None:
    save(tmp_path, 5)
    found = require_checkpoint(tmp_path)
    saved = {"vocabulary": "a", "model": {"dim": 8, "depth": 2}}
    require_same(found, saved, json.loads(json.dumps(saved)))
    require_same(found, {"betas": [0.9, 0.95]}, {"betas": (0.9, 0.95)})
    with pytest.raises(CheckpointError) as raised:
        require_same(found, saved, {"vocabulary": "a", "model": {"dim": 16, "depth": 3}})
    assert str(raised.value) == (
        f"{found.folder}: model.dim was 8 when it was saved and is 16 now (1 more fields differ); "
        "resume with the saved settings, or start another run directory"
    )


class Tied(nn.Module):
    def __init__(self, dim: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, dim)
        self.head = nn.Linear(dim, 3, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("made", torch.ones(2), persistent=False)


def test_weights_go_through_a_file_each_once(tmp_path: Path) -> None:
    module, other = Tied(), Tied()
    module.kept.mul_(5)
    module.made.mul_(5)
    path = tmp_path / "model.safetensors"
    save_weights(path, module_tensors(module))
    assert path.stat().st_mode & 0o777 == 0o644
    assert set(module_tensors(module)) == {"embedding.weight", "kept"}
    load_weights(other, path)
    prefixed = tmp_path / "whole.safetensors"
    tensors = {f"part.{name}": tensor.half() for name, tensor in module_tensors(module).items()}
    save_weights(prefixed, {**tensors, "other.kept": torch.zeros(7)})
    third = Tied()
    load_weights(third, prefixed, prefix="part.")
    assert third.kept.dtype == torch.float32
    assert third.kept[0] == 5
    assert torch.equal(other.head.weight, module.embedding.weight)
    assert other.head.weight is other.embedding.weight
    assert other.kept[0] == 5
    assert other.made[0] == 1


def test_published_weights_are_the_checkpoints_own_or_others(tmp_path: Path) -> None:
    folder = save(tmp_path, 5, value=3.0)
    path = publish_weights(tmp_path, folder, {}, linked=True)
    assert path.read_bytes() == (folder / "model.safetensors").read_bytes()
    publish_weights(tmp_path, folder, {"w": torch.zeros(9)}, linked=False)
    assert path.read_bytes() != (folder / "model.safetensors").read_bytes()
    assert find_checkpoint(tmp_path) is not None  # the checkpoint is as it was written


def test_weights_that_do_not_fit_are_refused_and_nothing_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    module = Tied()
    before = module.embedding.weight.detach().clone()
    advice = "use the configuration that it was trained with"
    cases = [
        ({"embedding.weight": torch.zeros(3, 4)}, f"{path}: lacks the tensor kept; {advice}"),
        (
            {"embedding.weight": torch.zeros(3, 4), "kept": torch.zeros(2), "more": torch.zeros(1)},
            f"{path}: has, unlike this model, the tensor more; {advice}",
        ),
        (
            {"kept": torch.zeros(2), "embedding.weight": torch.zeros(3, 5)},
            f"{path}: embedding.weight has shape [3, 5], this model's has [3, 4]; {advice}",
        ),
    ]
    for tensors, message in cases:
        save_weights(path, tensors)
        with pytest.raises(CheckpointError) as raised:
            load_weights(module, path)
        assert str(raised.value) == message
        assert torch.equal(module.embedding.weight, before)
        assert module.kept[0] == 1
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="is torn or no safetensors file"):
        load_weights(module, path)
    with pytest.raises(CheckpointError, match="no such file"):
        load_weights(module, tmp_path / "other.safetensors")
