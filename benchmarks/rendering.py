"""Pictures: how many each renderer draws a second, and how many scenes the data generator makes."""

import dataclasses
import time

from measure import usable_cores
from subject import SEED, Subject
from tables import Section

from trilingua.core.errors import DependencyError
from trilingua.core.random import make_generator
from trilingua.data.clevr.generate import ClevrConfig, generate_clevr
from trilingua.data.clevr.placement import sample_scene
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.data.renderers.load import RENDERERS, load_renderer


def run(subject: Subject) -> Section:
    """Time the renderers on the same scenes, and the generator."""
    section = Section(title="Pictures and data, 320 x 240", header=("", "a second", "seconds each"))
    rates: dict[str, float] = {}
    for name in RENDERERS:
        try:
            renderer = load_renderer(name)
        except DependencyError:
            section.notes.append(f"The renderer {name} is not installed here.")
            continue
        count = (2 if subject.quick else 5) if name == "blender" else (5 if subject.quick else 100)
        seed = make_generator(SEED, "renderers")
        scenes = [sample_scene(seed, BuiltinRenderer()) for _ in range(count)]
        renderer.render(*scenes[0])  # Starts what has to be started: Blender's process, compiled kernels.
        start = time.perf_counter()
        for scene, view in scenes:
            renderer.render(scene, view)
        rates[name] = count / (time.perf_counter() - start)
        section.rows.append((f"pictures, {name}", f"{rates[name]:.2f}", f"{1 / rates[name]:.3f}"))
    if "blender" in rates:
        section.notes.append(f"The built-in renderer draws {rates['builtin'] / rates['blender']:.0f}x Blender's rate.")
    config = ClevrConfig(num_scenes=4 if subject.quick else 100, seed=SEED, split="rate", questions_per_scene=10)
    bare = dataclasses.replace(config, questions_per_scene=0, instructions_per_scene=0)
    cores = usable_cores()
    for what, wanted, workers in (
        ("scenes with a picture", bare, 1),
        ("scenes with a picture, 10 questions, 5 drawn edits", config, 1),
        ("scenes with a picture, 10 questions, 5 drawn edits", config, cores),
    ):
        if workers == cores > 1 and subject.quick:
            continue
        start = time.perf_counter()
        generate_clevr(subject.folder / f"rate_{len(section.rows)}", wanted, num_workers=workers)
        took = (time.perf_counter() - start) / wanted.num_scenes
        section.rows.append((f"{what}, {workers} process{'es' * (workers > 1)}", f"{1 / took:.2f}", f"{took:.3f}"))
    return section
