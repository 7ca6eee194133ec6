"""The entry point: help of every verb without torch, statuses, `python -m trilingua`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trilingua
from trilingua.cli import train
from trilingua.cli.main import VERBS, main, run
from trilingua.core import errors
from trilingua.core.presets import describe_preset, preset_names

FULL = Path("/dev/full")
"""A device that takes nothing."""

EVERY_HELP = """
import sys
from trilingua.cli.main import VERBS, run
for words in ([], ["--help"], ["data", "clevr", "--help"], *([verb, "--help"] for verb in VERBS)):
    assert run(words) == 0, words
    assert "torch" not in sys.modules, words
"""


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb, capsys):
    assert run([verb, "--help"]) == 0
    printed = capsys.readouterr()
    assert (
        f"xample: trilingua {verb} " in printed.out
        or printed.out.endswith(f"xample: trilingua {verb}\n")
        or (verb == "info" and "Example: trilingua info" in printed.out)
    )
    assert printed.err == ""


def test_no_help_imports_torch():
    helped = subprocess.run([sys.executable, "-c", EVERY_HELP], capture_output=True, text=True, timeout=120)
    assert helped.returncode == 0, helped.stderr


def test_help_of_a_preset_lists_its_fields(capsys):
    assert run(["train", "kyvo-tiny", "--help"]) == 0
    printed = capsys.readouterr().out
    for option in ("--out", "--resume", "--tokenizers", "--trainer.max-steps", "--loader.mix.qa", "--decoder.dim"):
        assert f"{option} " in printed or f"{option}," in printed
    assert "Example: trilingua train" in printed


def test_usage_lists_every_verb(capsys):
    assert run([]) == 0
    usage = capsys.readouterr().out
    assert all(f"  {verb} " in usage for verb in VERBS)
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == usage


def test_presets_read_from_the_source_are_the_registered_ones():
    import trilingua.systems.training

    assert trilingua.systems.training
    registered = [name for name in preset_names() if name.startswith(("kyvo", "shape"))]
    assert train._presets() == {name: describe_preset(name) for name in registered}


def test_version_and_unknown_verbs(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{trilingua.__version__}\n"
    verbs = ", ".join(VERBS)
    assert run(["recognise"]) == 2
    message = f"trilingua: 'recognise' is no verb; choose one of {verbs} (did you mean recognize?)\n"
    assert capsys.readouterr().err == message


def test_failures_are_one_line_with_status_1(capsys, monkeypatch):
    from trilingua.cli import info

    def fail(run_or_preset=""):
        raise RuntimeError("the\nengine stalled")

    monkeypatch.setattr(info, "info", fail)
    monkeypatch.delenv("TRILINGUA_TRACEBACK", raising=False)
    assert run(["info"]) == 1
    message = "trilingua info: failed: RuntimeError: the engine stalled (set TRILINGUA_TRACEBACK=1 to see where)\n"
    assert capsys.readouterr().err == message
    monkeypatch.setenv("TRILINGUA_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="engine"):
        run(["info"])

    def stop(run_or_preset=""):
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "info", stop)
    with pytest.raises(SystemExit) as left:
        main(["info"])
    assert left.value.code == 1
    assert capsys.readouterr().err == "trilingua info: interrupted\n"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InputError, 2),
        (errors.CheckpointError, 2),
        (errors.DependencyError, 2),
        (errors.DivergenceError, 1),
        (errors.WriteError, 1),
        (errors.WorkerError, 1),
    ],
)
def test_the_status_is_the_errors_own(capsys, monkeypatch, kind, status):
    from trilingua.cli import info

    def fail(run_or_preset=""):
        raise kind("it: went\nwrong")

    monkeypatch.setattr(info, "info", fail)
    monkeypatch.setenv("TRILINGUA_TRACEBACK", "1")  # What is raised on purpose is one line all the same.
    assert run(["info"]) == status
    assert capsys.readouterr().err == "trilingua info: it: went wrong\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--version"], ["info", "kyvo-tiny"]])
def test_whoever_stops_reading_is_not_complained_to(arguments, unbuffered):
    command = [sys.executable, "-m", "trilingua", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not FULL.exists(), reason="there is no such device here")
def test_output_that_cannot_be_written_is_said():
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trilingua", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    message = "trilingua: standard output cannot be written (No space left on device)\n"
    assert (done.returncode, done.stderr) == (1, message)


def test_python_m_trilingua():
    done = subprocess.run(
        [sys.executable, "-m", "trilingua", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == (f"{trilingua.__version__}\n", "")
