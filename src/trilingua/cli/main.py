"""The entry point `trilingua`: finds the verb, runs it, and turns errors into one line.

An error that we raise on purpose becomes one line on standard error and the exit status of its class; any other
is a failure, status 1. Only the chosen verb's module is imported, so that `--help` is quick.
"""

import importlib
import os
import sys
from collections.abc import Sequence

from trilingua.cli.arguments import parse
from trilingua.core.config import did_you_mean
from trilingua.core.errors import TrilinguaError

VERBS = {
    "demo": "fresh held-out scenes through all four tasks, as one page",
    "recognize": "pictures to scenes (.json and .glb)",
    "render": "scenes to pictures",
    "edit": "a picture and an instruction to the edited picture and scene",
    "ask": "a question about a picture to its answer",
    "data": "make data: `trilingua data clevr`, `trilingua data shapes`",
    "tokenize": "a data directory to shards of ids",
    "train": "a preset to a run directory",
    "evaluate": "a model's figures on a data directory",
    "calibrate": "honest scores: a data directory that nobody trained on to a run's score map",
    "shape": "meshes to codes and back: `trilingua shape encode`, `decode`, `evaluate`",
    "score": "figures of scenes that are already on disk",
    "export": "a run to a plain Llama checkpoint for `transformers`, or to a slim run",
    "info": "parameters, vocabulary, lengths and memory of a run or preset",
}
"""Every verb, and what it turns into what. Verb `x` is the function `x` of the module `trilingua.cli.x`."""

_USAGE = """usage: trilingua VERB [options]

{verbs}

example: trilingua recognize photo.png --out scenes
`trilingua VERB --help` says more about a verb."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; leaves by `SystemExit` with the command's status."""
    status = run(list(sys.argv[1:] if arguments is None else arguments))
    try:
        sys.stdout.flush()
    except OSError as error:  # What is left must go somewhere, or Python itself complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = status or _say_unwritten(error)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run the verb that `arguments` name and return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "--version"):
        from trilingua import __version__

        usage = _USAGE.format(verbs="\n".join(f"  {verb:<10} {what}" for verb, what in VERBS.items()))
        try:
            print(__version__ if arguments[:1] == ["--version"] else usage)
        except OSError as error:
            return _say_unwritten(error)
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        print(f"trilingua: {verb!r} is no verb; choose one of {', '.join(VERBS)}{did_you_mean(verb, VERBS)}",
              file=sys.stderr)  # fmt: skip
        return 2
    try:
        module = importlib.import_module(f"trilingua.cli.{verb}")
        if hasattr(module, "command"):  # A verb that reads its arguments in its own way.
            module.command(rest)
        else:
            function = getattr(module, verb)
            function(**parse(function, rest, f"trilingua {verb}"))
    except TrilinguaError as error:
        print(f"trilingua {verb}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"trilingua {verb}: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError as error:
        return _say_unwritten(error)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception as error:
        if "TRILINGUA_TRACEBACK" in os.environ:
            raise
        print(f"trilingua {verb}: failed: {type(error).__name__}: {' '.join(str(error).split())} "
              "(set TRILINGUA_TRACEBACK=1 to see where)", file=sys.stderr)  # fmt: skip
        return 1
    return 0


def _say_unwritten(error: OSError) -> int:
    """Say that standard output takes no more, unless whoever read it has gone, and return the exit status."""
    if not isinstance(error, BrokenPipeError):
        print(f"trilingua: standard output cannot be written ({error.strerror})", file=sys.stderr)
    return 1
