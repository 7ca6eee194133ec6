"""The tasks that are trained in earnest, under the trainer: losses fall, and two processes make the run of one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.launch import start_two

from trilingua.cli.main import run
from trilingua.data.loaders import PackedStream, SequenceBuilder
from trilingua.data.shards import Shards
from trilingua.systems.kyvo.build import Tokenizers, load_decoder


def logged(run_dir: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def test_the_image_tokenizer_learns(tiny_tokenizers_run: Path) -> None:
    for name, share in {"loss": 0.7, "pixels": 0.4}.items():
        values = logged(tiny_tokenizers_run, name)
        assert len(values) == 20
        assert values[-1] < share * values[0], name


def test_the_decoder_learns_every_kind_of_token(tiny_run: Path) -> None:
    kinds = ("tokens", "loss_text", "loss_markers", "loss_numbers", "loss_image")
    for name in (*kinds, "probe_given", "probe_objects", "probe_recognized", "guidance"):
        values = logged(tiny_run, name)
        assert len(values) > 50  # a batch may draw no picture
        assert sum(values[-3:]) < 0.95 * sum(values[:3]), name
    assert logged(tiny_run, "loss_numbers")[-1] < 0.7 * logged(tiny_run, "loss_numbers")[0]


LOADER = {
    "loader.row_length": 384,
    "loader.rows_per_batch": 1,
    "loader.blind_share": 0.5,
    "loader.code_share": 0.5,
    "loader.mix.recognition": 0.5,
    "loader.mix.rendering": 0.5,
    "loader.mix.editing": 0.0,
    "loader.mix.qa": 1.0,
    "loader.blind_mix.editing": 0.0,
    "loader.blind_mix.qa": 2.0,
}
TRAINER = {
    "held_out": 0,
    "trainer.max_steps": 3,
    "trainer.gradient_accumulation": 2,
    "trainer.precision": "fp32",
    "trainer.num_threads": 1,
    "trainer.log_every_steps": 1,
    "trainer.eval_every_steps": 0,
}


def test_two_processes_make_the_decoder_of_one_though_batches_lack_pictures(
    tiny_tokenizers: Tokenizers, tiny_tokenizers_run: Path, tiny_shards: Path, tmp_path: Path
) -> None:
    def arguments(run_dir: Path) -> list[str]:
        places = {"tokenizers": tiny_tokenizers_run, "data": tiny_shards, "out": run_dir}
        options = {**places, **LOADER, **TRAINER}
        named = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items()]
        return ["train", "kyvo-tiny", *(word for pair in named for word in pair)]

    one, two = tmp_path / "one", tmp_path / "two"
    assert run(arguments(one)) == 0
    done = start_two(["-m", "trilingua", *arguments(two)])
    assert done.returncode == 0, done.stderr
    for name in ("loss", "tokens", "probe_given", "probe_drawn", "gradient_norm"):
        assert logged(two, name) == pytest.approx(logged(one, name), rel=1e-4), name
    first, second = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-5)

    # What the equality is about: batches that leave a probe nothing to read, in one process and not in the other.
    config, _ = load_decoder(one, tiny_tokenizers)
    builder = SequenceBuilder(config.loader, tiny_tokenizers.sequences)
    stream = PackedStream(Shards(tiny_shards, tiny_tokenizers.vocabulary), builder, seed=config.trainer.seed)
    steps = [[next(stream) for _ in range(2)] for _ in range(3)]
    for name in ("given", "drawn"):
        read = [[bool(len(getattr(batch, name).tokens)) for batch in step] for step in steps]
        assert any(one_reads != other_reads for one_reads, other_reads in read), name
