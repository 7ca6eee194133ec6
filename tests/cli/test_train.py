"""`trilingua tokenize` and `trilingua train`: overrides, going on, and what they refuse to go on with."""

import json
import shutil

import pytest

from trilingua.cli.main import run
from trilingua.core.io import read_json

QUICK = ("--trainer.num-threads", "1", "--trainer.precision", "fp32", "--trainer.eval-every-steps", "0")


def call(capsys, *arguments):
    status = run([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.fixture(scope="module")
def run_dir(tiny_tokenizers_run, tiny_shards, tmp_path_factory):
    """A run that the command line made: two steps of `kyvo-tiny`, some of its fields changed."""
    folder = tmp_path_factory.mktemp("train") / "run"
    places = ("--tokenizers", tiny_tokenizers_run, "--data", tiny_shards, "--out", folder)
    changes = ("--trainer.max-steps", "2", "--loader.mix.qa", "2", "--loader.rows-per-batch", "1")
    arguments = ("train", "kyvo-tiny", *places, *changes, *QUICK)
    assert run([str(argument) for argument in arguments]) == 0
    return folder, arguments


def test_overrides_reach_the_configuration(run_dir):
    folder, _ = run_dir
    config = read_json(folder / "config.json")["kyvo"]
    assert config["trainer"]["max_steps"] == 2
    assert config["loader"]["mix"]["qa"] == 2.0
    assert config["loader"]["rows_per_batch"] == 1
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] == 2


def test_a_run_goes_on_and_another_is_refused(run_dir, capsys, tmp_path):
    folder, arguments = run_dir
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err == (
        f"trilingua train: {folder}: already holds a run; go on with --resume, or choose another run directory\n"
    )
    status, out, _ = call(capsys, *arguments, "--trainer.max-steps", "3", "--resume")
    assert (status, out) == (0, f"{folder}: finished at step 3\n")
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    status, out, err = call(
        capsys, *arguments, "--trainer.max-steps", "4", "--resume", "--trainer.learning-rate", "0.5"
    )
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("trilingua train: ")
    assert "trainer.learning_rate" in err
    assert "0.5" in err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files
    nothing = tmp_path / "nothing"
    status, out, err = call(capsys, *arguments, "--out", nothing, "--resume")
    assert (status, out) == (2, "")
    assert err.startswith(f"trilingua train: {nothing}: ")
    assert err.count("\n") == 1
    assert not nothing.exists()


def test_shards_of_another_vocabulary_are_refused(tiny_tokenizers_run, tiny_shards, tiny_data, tmp_path, capsys):
    from trilingua.core.config import replace_dotted
    from trilingua.systems.kyvo.config import kyvo_tiny_tokenizers
    from trilingua.systems.kyvo.train import train_tokenizers

    other = tmp_path / "other"
    changes = {"data": str(tiny_data), "text_size": 384, "trainer.max_steps": 1, "trainer.num_threads": 1}
    train_tokenizers(replace_dotted(kyvo_tiny_tokenizers(), changes), other)
    out = tmp_path / "run"
    status, printed, err = call(
        capsys, "train", "kyvo-tiny", "--tokenizers", other, "--data", tiny_shards, "--out", out, *QUICK
    )
    assert (status, printed) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith(f"trilingua train: {tiny_shards / 'shard_00000000.safetensors'}: ")
    assert "vocabulary" in err
    assert not out.exists()
    shards = tmp_path / "shards"
    shutil.copytree(tiny_shards, shards)
    before = {path.name: path.read_bytes() for path in shards.iterdir()}
    status, printed, err = call(capsys, "tokenize", tiny_data, "--checkpoint", other, "--out", shards)
    assert (status, printed) == (2, "")
    assert err.startswith(f"trilingua tokenize: {shards}: ")
    assert err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in shards.iterdir()} == before


def test_tokenize_writes_shards_that_train(tiny_tokenizers_run, tiny_data, tmp_path, capsys):
    out = tmp_path / "shards"
    status, printed, err = call(capsys, "tokenize", tiny_data, "--checkpoint", tiny_tokenizers_run, "--out", out)
    assert (status, printed) == (0, f"{out}: 6 scenes\n"), err
    assert sorted(path.name for path in out.iterdir()) == [
        "settings.json",
        "shard_00000000.safetensors",
        "vocabulary.json",
    ]
