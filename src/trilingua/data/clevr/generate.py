"""Makes a CLEVR data directory: scenes and pictures, then questions, then instructions, then the manifest.

Each stage goes over all scenes in parallel and can be stopped and resumed: a file that exists is kept, and
every file is written whole or not at all, a scene's JSON after its picture. Scene i and all that belongs to
it depend on (seed, split, i) alone, so the bytes are the same whatever the number of workers. This module
knows the order of work; the rules are in `placement.py`, `questions.py` and `instructions.py`, the files in
`layout.py` and `manifest.py`.
"""

import dataclasses
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trilingua.core.errors import InputError
from trilingua.core.io import write_bytes, write_json
from trilingua.core.random import make_generator
from trilingua.data.clevr.instructions import generate_instructions
from trilingua.data.clevr.layout import ClevrConfig, ClevrLayout
from trilingua.data.clevr.manifest import adopt_settings, belongs_to, finished_before, write_manifest
from trilingua.data.clevr.placement import VisibilityCounter, complete_scene, sample_scene, visible_enough
from trilingua.data.clevr.questions import generate_questions
from trilingua.data.clevr.views import view_of
from trilingua.data.cluster import workers_at
from trilingua.data.directory import check_count
from trilingua.data.renderers.load import load_renderer
from trilingua.data.renderers.protocol import Renderer, View
from trilingua.scenes.scene import Scene

__all__ = ["ClevrConfig", "generate_clevr"]


def generate_clevr(
    out: str | Path,
    config: ClevrConfig,
    *,
    num_workers: int = 1,
    cluster: str | None = None,
    make_renderer: Callable[[str], Renderer] | None = None,
) -> dict[str, Any]:
    """Make the data directory `out`, or finish one that was begun, and return its manifest.

    With several workers, each is a process of its own that imports the calling program's main module anew, so
    a script must call this under `if __name__ == "__main__":`.

    Args:
        out: the folder; it is made if it does not exist.
        config: what to make.
        num_workers: number of processes, at least 1; 1 works in this process.
        cluster: address of a Ray cluster whose machines do the work instead, as `cluster_workers` takes it; all
            must see `out`.
        make_renderer: makes the renderer from `config.renderer`, in each process; picklable. Defaults to
            `load_renderer`.

    Raises:
        ConfigError: a setting is out of range.
        InputError: `out` cannot be written, or was begun with other settings.
        WriteError: the disk is full.
        WorkerError: a process died.
        DependencyError: a cluster is wanted and Ray is not installed.
    """
    out = Path(out).absolute()  # another machine works in another folder
    check_count("num_workers", num_workers, 1)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose a folder for --out")
    make_renderer = make_renderer or load_renderer
    make_renderer(config.renderer)  # an unknown or missing renderer is refused before anything is written
    layout = ClevrLayout(out=out, config=config)
    adopt_settings(layout)
    finished, broken = finished_before(layout)
    if finished is not None and not broken:
        return finished
    (out / "manifest.json").unlink(missing_ok=True)  # it promises a finished folder, which this is not until the end

    with workers_at(cluster, num_workers, _start_worker, (layout, make_renderer)) as run:
        missing = [index for index in range(config.num_scenes) if not layout.has_scene(index)]
        run(_make_scene, missing, title="scenes and pictures", total=config.num_scenes)
        for kind, make_part in (("questions", _make_questions), ("instructions", _make_instructions)):
            whole = finished is not None and not any(belongs_to(kind, name) for name in broken)
            if getattr(config, f"{kind}_per_scene") and not whole:
                starts = layout.chunk_starts()
                missing = [start for start in starts if not layout.part_path(kind, start).exists()]
                run(make_part, missing, title=kind, total=len(starts))
                layout.join_parts(kind)
    return write_manifest(layout)


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """What a process keeps between units of work."""

    layout: ClevrLayout
    renderer: Renderer
    counter: VisibilityCounter
    """Counts visible pixels: the renderer, or the built-in one for a renderer that only draws."""

    @property
    def config(self) -> ClevrConfig:
        return self.layout.config

    def generator(self, stage: str, index: int) -> np.random.Generator:
        return make_generator(self.config.seed, stage, self.config.split, index)

    def visible(self, scene: Scene, view: View) -> bool:
        return visible_enough(self.counter, scene, view)

    def draw(self, scene: Scene, view: View, filename: str) -> None:
        image = self.renderer.render(scene, view, width=self.config.width, height=self.config.height).image
        stream = io.BytesIO()
        # Level 1 is several times faster than the default and the files are a few per cent larger.
        Image.fromarray(image).save(stream, format="PNG", compress_level=1)
        write_bytes(self.layout.image_path(filename), stream.getvalue())

    def scenes(self, start: int) -> Iterator[tuple[int, Scene]]:
        for index in self.layout.chunk(start):
            yield index, Scene.load(self.layout.scene_path(index))


_worker: _Worker | None = None


def _start_worker(layout: ClevrLayout, make_renderer: Callable[[str], Renderer]) -> None:
    global _worker
    renderer = make_renderer(layout.config.renderer)
    counter = renderer if isinstance(renderer, VisibilityCounter) else load_renderer("builtin")
    assert isinstance(counter, VisibilityCounter), "the built-in renderer counts pixels"
    _worker = _Worker(layout=layout, renderer=renderer, counter=counter)


def _this_worker() -> _Worker:
    assert _worker is not None, "a process is started with _start_worker"
    return _worker


def _make_scene(index: int) -> None:
    worker = _this_worker()
    path = worker.layout.scene_path(index)
    filename = f"{worker.layout.stem(index)}.png"
    if path.exists():
        scene = Scene.load(path)
        worker.draw(scene, view_of(scene, where=str(path)), filename)
        return
    config = worker.config
    scene, view = sample_scene(
        worker.generator("scene", index),
        worker.counter,
        min_objects=config.min_objects,
        max_objects=config.max_objects,
    )
    scene = scene.replace(image_filename=filename, image_index=index, split=config.split)
    worker.draw(scene, view, filename)
    write_json(path, scene.to_json(), indent=None)


def _make_questions(start: int) -> None:
    worker = _this_worker()
    records = []
    for index, scene in worker.scenes(start):
        place = {"image_filename": scene.image_filename, "image_index": index, "split": worker.config.split}
        generator = worker.generator("questions", index)
        for question in generate_questions(scene, generator, worker.config.questions_per_scene):
            records.append({**place, **question})
    worker.layout.write_part("questions", start, records)


def _make_instructions(start: int) -> None:
    worker = _this_worker()
    records = []
    for index, scene in worker.scenes(start):
        view = view_of(scene, where=str(worker.layout.scene_path(index)))
        instructions = generate_instructions(
            scene,
            worker.generator("instructions", index),
            worker.config.instructions_per_scene,
            acceptable=partial(worker.visible, view=view),
        )
        chance = worker.generator("pictured", index)
        for number, instruction in enumerate(instructions):
            pictured = chance.random() < worker.config.pictured_share
            filename = f"{worker.layout.stem(index)}_edit{number}.png" if pictured else None
            target = complete_scene(instruction.target_scene.objects, view).replace(
                image_filename=filename, image_index=index, split=worker.config.split
            )
            if filename is not None and not worker.layout.image_path(filename).exists():
                worker.draw(target, view, filename)
            drawn = dataclasses.replace(instruction, target_scene=target)
            records.append(drawn.to_json(scene, target_image_filename=filename))
    worker.layout.write_part("instructions", start, records)
