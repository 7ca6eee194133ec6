"""The verb `trilingua train`: a preset's configuration, with any field set from the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from trilingua.cli.arguments import parse
from trilingua.core.errors import ConfigError

_USAGE = """usage: trilingua train PRESET [--out RUN] [--resume] [--FIELD VALUE ...]

Train a preset's configuration, or a changed one, into a run directory.

presets:
{presets}

example: trilingua train kyvo-clevr --out runs/mine --data shards/train --tokenizers runs/tokenizers
         trilingua train kyvo-clevr --out runs/mine --data shards/train --tokenizers runs/tokenizers --resume

`trilingua train PRESET --help` lists every field of the preset's configuration."""


def command(arguments: Sequence[str]) -> None:
    """Take the preset, then the fields of its configuration, and train."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if name in ("-h", "--help"):
        listed = "\n".join(f"  {preset}: {what}" for preset, what in _presets().items())
        print(_USAGE.format(presets=listed))
        return
    if not name or name.startswith("-"):
        raise ConfigError(f"preset: is missing; it comes first, one of {', '.join(_presets())}")
    import trilingua.systems.training  # noqa: F401  # registers the presets of all systems
    from trilingua.core.presets import get_preset

    default = get_preset(name)

    def train(*, out: Path = Path("runs") / name, resume: bool = False, config: Any = default) -> None:
        """Train a preset's configuration, with the fields below changed, into a run directory.

        Example: trilingua train kyvo-clevr --out runs/mine --data shards/train --tokenizers runs/tokenizers

        Args:
            out: run directory.
            resume: go on from the newest checkpoint in --out.
            config: the fields of the configuration.
        """
        _train(config, out, resume=resume)

    # The fields' own names, without `config.` in front.
    train.__annotations__["config"] = Annotated[type(default), tyro.conf.arg(name="")]
    train(**parse(train, rest, f"trilingua train {name}"))


def _train(config: Any, run: Path, *, resume: bool) -> None:
    from trilingua.cli.console import folder_to_write
    from trilingua.systems.training import train as train_any

    folder_to_write(run)
    result = train_any(config, run, resume=resume)
    print(f"{run}: {result.reason} at step {result.step}")
    if result.reason == "interrupted":
        sys.exit(1)


def _presets() -> dict[str, str]:
    """Return what each preset costs, by its name, from the source alone: importing it would take seconds."""
    import ast
    from importlib.util import find_spec

    spec = find_spec("trilingua.systems")
    assert spec is not None, "the systems are a package beside this one"
    assert spec.origin is not None, "a package of files has a place"
    found = {}
    for path in Path(spec.origin).parent.glob("*/config.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and isinstance(mark.args[0], ast.Constant):
                        found[str(mark.args[0].value)] = (ast.get_docstring(node) or "").splitlines()[0]
    return dict(sorted(found.items()))
