"""The verb `trilingua info`."""

import json
from pathlib import Path
from typing import Annotated

import tyro


def info(run_or_preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|PRESET")] = "") -> None:
    """Print what a run or a preset is made of: parameters, vocabulary, lengths, memory, speed.

    Example: trilingua info

    Args:
        run_or_preset: a run directory or a preset's name; the shipped model by default.
    """
    import trilingua.systems.training  # noqa: F401  # registers the presets of all systems
    from trilingua import shipped_model
    from trilingua.core.config import did_you_mean, to_json
    from trilingua.core.errors import InputError
    from trilingua.core.presets import describe_preset, get_preset, preset_names
    from trilingua.systems.kyvo.describe import describe_plan, describe_run
    from trilingua.systems.shapes.build import is_shape_run
    from trilingua.systems.shapes.config import ShapeConfig
    from trilingua.systems.shapes.describe import describe_shape_plan, describe_shape_run

    if run_or_preset in preset_names():
        print(f"{run_or_preset}: {describe_preset(run_or_preset)}")
        config = get_preset(run_or_preset)
        shapes = isinstance(config, ShapeConfig)
        print("\n".join(describe_shape_plan(config) if shapes else describe_plan(run_or_preset)))
        print(json.dumps(to_json(config), indent=2))
        return
    run = Path(run_or_preset) if run_or_preset else shipped_model()
    if not run.exists():
        names = preset_names()
        raise InputError(f"{run}: no such run directory, and no preset; presets are {', '.join(names)}"
                         f"{did_you_mean(str(run), names)}")  # fmt: skip
    print("\n".join(describe_shape_run(run) if is_shape_run(run) else describe_run(run)))
