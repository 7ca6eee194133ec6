"""Makes a CLEVR data directory: scenes and pictures, then questions, then instructions, then the manifest.

Each stage goes over all scenes in parallel and can be stopped and resumed: a file that exists is kept, and
every file is written whole or not at all, a scene's JSON after its picture. Scene i and all that belongs to
it depend on (seed, split, i) alone, so the bytes are the same whatever the number of workers. This module
knows the layout and the order of work; the rules are in `placement.py`, `questions.py`, `instructions.py`.
"""

import io
import json
import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from trilingua.core.errors import ConfigError, InputError, TrilinguaError
from trilingua.core.io import atomic_path, digest_file, read_json, write_bytes, write_json
from trilingua.core.random import make_generator
from trilingua.data.clevr.instructions import generate_instructions
from trilingua.data.clevr.placement import (
    VisibilityCounter,
    check_object_counts,
    complete_scene,
    sample_scene,
    visible_enough,
)
from trilingua.data.clevr.questions import generate_questions
from trilingua.data.clevr.views import view_of
from trilingua.data.renderers.load import load_renderer
from trilingua.data.renderers.protocol import Renderer, View
from trilingua.scenes.scene import Scene

PREFIX = "CLEVR"
_CHUNK = 100
"""How many scenes' questions or instructions are one unit of resumable work."""

_LEAST_COUNTS = {"num_scenes": 1, "width": 1, "height": 1, "questions_per_scene": 0, "instructions_per_scene": 0}


@dataclass(frozen=True, kw_only=True)
class ClevrConfig:
    """What a CLEVR data directory holds; it is written into the directory and checked when work is resumed."""

    num_scenes: int
    """Number of scenes, each with one picture; at least 1. It may grow when work is resumed."""
    seed: int = 0
    """Seed of everything random."""
    split: str = "new"
    """Name of the split: letters, digits, '-' and '_'; splits of one seed hold different scenes."""
    renderer: str = "builtin"
    """Which renderer draws: `builtin` or `blender`."""
    min_objects: int = 3
    """Least number of objects in a scene, from 1. Source: CLEVR generator."""
    max_objects: int = 10
    """Largest number of objects in a scene, to 10. Source: CLEVR generator."""
    questions_per_scene: int = 10
    """Questions for each scene; 0 makes none. It may be raised from 0 when work is resumed."""
    instructions_per_scene: int = 5
    """Instructions for each scene, each with its target picture; 0 makes none. It may be raised from 0 later."""
    width: int = 320
    """Width of the pictures in pixels."""
    height: int = 240
    """Height of the pictures in pixels."""

    def __post_init__(self) -> None:
        for name, least in _LEAST_COUNTS.items():
            _check_count(name, getattr(self, name), least)
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.split):
            raise ConfigError(f"split: {self.split!r} is not allowed; use letters, digits, '-' and '_'")
        check_object_counts(self.min_objects, self.max_objects)

    @property
    def name(self) -> str:
        """What every file of the split begins with."""
        return f"{PREFIX}_{self.split}"


def generate_clevr(
    out: str | Path,
    config: ClevrConfig,
    *,
    num_workers: int = 1,
    make_renderer: Callable[[str], Renderer] | None = None,
) -> dict[str, Any]:
    """Make the data directory `out`, or finish one that was begun, and return its manifest.

    With several workers, each is a process of its own that imports the calling program's main module anew, so
    a script must call this under `if __name__ == "__main__":`.

    Args:
        out: the folder; it is made if it does not exist.
        config: what to make.
        num_workers: number of processes, at least 1; 1 works in this process.
        make_renderer: makes the renderer from `config.renderer`, in each process; picklable. Defaults to
            `load_renderer`.

    Raises:
        ConfigError: a setting is out of range.
        InputError: `out` cannot be written, the disk is full, or `out` was begun with other settings.
        TrilinguaError: a process died.
    """
    out = Path(out)
    _check_count("num_workers", num_workers, 1)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; choose a folder for --out")
    make_renderer = make_renderer or load_renderer
    make_renderer(config.renderer)  # an unknown or missing renderer is refused before anything is written
    _adopt_settings(out, config)
    finished, broken = _finished_before(out, config)
    if finished is not None and not broken:
        return finished
    (out / "manifest.json").unlink(missing_ok=True)  # it promises a finished folder, which this is not until the end

    with _workers(num_workers, (out, config, make_renderer)) as run:
        missing = [index for index in range(config.num_scenes) if not _scene_is_there(out, config, index)]
        run(_make_scene, missing, "scenes and pictures", config.num_scenes)
        for kind, make_part in (("questions", _make_questions), ("instructions", _make_instructions)):
            whole = finished is not None and not any(_belongs_to(kind, name) for name in broken)
            if getattr(config, f"{kind}_per_scene") and not whole:
                starts = range(0, config.num_scenes, _CHUNK)
                run(make_part, [s for s in starts if not _part_path(out, config, kind, s).exists()], kind, len(starts))
                _join_parts(out, config, kind)
    return _write_manifest(out, config)


# --- what one process does -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """What a process keeps between units of work."""

    out: Path
    config: ClevrConfig
    renderer: Renderer
    counter: VisibilityCounter
    """Counts visible pixels: the renderer, or the built-in one for a renderer that only draws."""

    def generator_keys(self, stage: str, index: int) -> tuple[int, str, str, int]:
        return (self.config.seed, stage, self.config.split, index)

    def visible(self, scene: Scene, view: View) -> bool:
        return visible_enough(self.counter, scene, view)

    def draw(self, scene: Scene, view: View, filename: str) -> None:
        image = self.renderer.render(scene, view, width=self.config.width, height=self.config.height).image
        stream = io.BytesIO()
        # Level 1 is several times faster than the default and the files are a few per cent larger.
        Image.fromarray(image).save(stream, format="PNG", compress_level=1)
        write_bytes(self.out / "images" / filename, stream.getvalue())


_worker: _Worker | None = None


def _start_worker(out: Path, config: ClevrConfig, make_renderer: Callable[[str], Renderer]) -> None:
    global _worker
    renderer = make_renderer(config.renderer)
    counter = renderer if isinstance(renderer, VisibilityCounter) else load_renderer("builtin")
    assert isinstance(counter, VisibilityCounter), "the built-in renderer counts pixels"
    _worker = _Worker(out=out, config=config, renderer=renderer, counter=counter)


def _this_worker() -> _Worker:
    assert _worker is not None
    return _worker


def _make_scene(index: int) -> None:
    worker = _this_worker()
    path = _scene_path(worker.out, worker.config, index)
    filename = f"{_stem(worker.config, index)}.png"
    if path.exists():
        scene = Scene.load(path)
        worker.draw(scene, view_of(scene, where=str(path)), filename)
        return
    config = worker.config
    generator = make_generator(*worker.generator_keys("scene", index))
    scene, view = sample_scene(
        generator, worker.counter, min_objects=config.min_objects, max_objects=config.max_objects
    )
    scene = scene.replace(image_filename=filename, image_index=index, split=config.split)
    worker.draw(scene, view, filename)
    write_json(path, scene.to_json(), indent=None)


def _make_questions(start: int) -> None:
    worker = _this_worker()
    records = []
    for index, scene in _chunk_of_scenes(worker, start):
        generator = make_generator(*worker.generator_keys("questions", index))
        for question in generate_questions(scene, generator, worker.config.questions_per_scene):
            place = {"image_filename": scene.image_filename, "image_index": index, "split": worker.config.split}
            records.append({**place, **question})
    _write_part(worker, "questions", start, records)


def _make_instructions(start: int) -> None:
    worker = _this_worker()
    records = []
    for index, scene in _chunk_of_scenes(worker, start):
        view = view_of(scene)
        acceptable = partial(worker.visible, view=view)
        instructions = generate_instructions(
            scene,
            make_generator(*worker.generator_keys("instructions", index)),
            worker.config.instructions_per_scene,
            acceptable=acceptable,
        )
        for number, instruction in enumerate(instructions):
            filename = f"{_stem(worker.config, index)}_edit{number}.png"
            target = complete_scene(instruction.target_scene.objects, view).replace(
                image_filename=filename, image_index=index, split=worker.config.split
            )
            if not (worker.out / "images" / filename).exists():
                worker.draw(target, view, filename)
            records.append(
                {
                    "image_filename": scene.image_filename,
                    "target_image_filename": filename,
                    "type": instruction.type,
                    "instruction": instruction.instruction,
                    "source_scene": scene.to_json(),
                    "target_scene": target.to_json(),
                }
            )
    _write_part(worker, "instructions", start, records)


def _chunk_of_scenes(worker: _Worker, start: int) -> Iterator[tuple[int, Scene]]:
    for index in range(start, min(start + _CHUNK, worker.config.num_scenes)):
        yield index, Scene.load(_scene_path(worker.out, worker.config, index))


# --- files -----------------------------------------------------------------------------------------------------------


def _stem(config: ClevrConfig, index: int) -> str:
    return f"{config.name}_{index:06d}"


def _scene_path(out: Path, config: ClevrConfig, index: int) -> Path:
    return out / "scenes" / f"{_stem(config, index)}.json"


def _scene_is_there(out: Path, config: ClevrConfig, index: int) -> bool:
    return _scene_path(out, config, index).exists() and (out / "images" / f"{_stem(config, index)}.png").exists()


def _part_path(out: Path, config: ClevrConfig, kind: str, start: int) -> Path:
    """Where one chunk's records are kept until all are there; its name says all that its content depends on."""
    per_scene = getattr(config, f"{kind}_per_scene")
    end = min(start + _CHUNK, config.num_scenes)
    return out / "parts" / f"{config.name}_{kind}_{start:06d}_{end:06d}_{per_scene}.jsonl"


def _write_part(worker: _Worker, kind: str, start: int, records: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
    write_bytes(_part_path(worker.out, worker.config, kind, start), lines.encode())


def _join_parts(out: Path, config: ClevrConfig, kind: str) -> None:
    """Write DIR/NAME_<kind>.json from its parts, one record a line, without holding more than one part in memory."""
    info = {"split": config.split, "version": version("trilingua")}
    with atomic_path(out / f"{config.name}_{kind}.json") as temporary, temporary.open("wb") as stream:
        stream.write(f'{{"info": {json.dumps(info)}, "{kind}": ['.encode())
        separator = b"\n"
        for start in range(0, config.num_scenes, _CHUNK):
            for line in _part_path(out, config, kind, start).read_bytes().splitlines():
                stream.write(separator + line)
                separator = b",\n"
        stream.write(b"\n]}\n")


def _adopt_settings(out: Path, config: ClevrConfig) -> None:
    """Record the settings in `out`, or compare them with those it was begun with."""
    path = out / "settings.json"
    settings = {"version": version("trilingua"), **asdict(config)}
    if path.exists():
        begun = read_json(path)
        for name, value in settings.items():
            old = begun.get(name) if isinstance(begun, dict) else None
            grows = name == "num_scenes" and isinstance(old, int) and old < value
            begins = name.endswith("_per_scene") and old == 0
            if old != value and not grows and not begins:
                raise InputError(
                    f"{out}: was begun with {name} {old!r}, not {value!r}; keep it or choose another --out"
                )
        if begun == settings:
            return
    elif out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty and was not begun by `trilingua data clevr`; choose another --out")
    write_json(path, settings)


def _finished_before(out: Path, config: ClevrConfig) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the manifest of an equal run that finished in `out`, and its files that are gone or changed since.

    Changed files are removed, so that they are made again.
    """
    path = out / "manifest.json"
    manifest = read_json(path) if path.exists() else None
    if not isinstance(manifest, dict) or manifest.get("settings") != asdict(config):
        return None, []
    broken = []
    for name, digest in tqdm(manifest["files"].items(), desc="checking", unit="file", disable=None):
        if not (out / name).is_file() or digest_file(out / name) != digest:
            (out / name).unlink(missing_ok=True)
            broken.append(name)
    return manifest, broken


def _belongs_to(kind: str, name: str) -> bool:
    """Return whether the file `name` of a manifest is made by the stage `kind`."""
    return name.endswith(f"_{kind}.json") or (kind == "instructions" and re.search(r"_edit\d+\.png$", name) is not None)


def _write_manifest(out: Path, config: ClevrConfig) -> dict[str, Any]:
    """Digest every file, write the manifest last, and only then drop the parts."""
    scenes = [_scene_path(out, config, index) for index in range(config.num_scenes)]
    names = {f"{_stem(config, index)}.png" for index in range(config.num_scenes)}
    counts = {"scenes": config.num_scenes}
    records = []
    for kind in ("questions", "instructions"):
        path = out / f"{config.name}_{kind}.json"
        if getattr(config, f"{kind}_per_scene"):
            values = read_json(path)[kind]
            counts[kind] = len(values)
            names |= {value["target_image_filename"] for value in values if kind == "instructions"}
            records.append(path)
    images = [out / "images" / name for name in sorted(names)]
    counts["images"] = len(images)
    files = tqdm([*records, *scenes, *images], desc="digests", unit="file", disable=None)
    manifest = {
        "seed": config.seed,
        "version": version("trilingua"),
        "renderer": config.renderer,
        "settings": asdict(config),
        "counts": counts,
        "files": {path.relative_to(out).as_posix(): digest_file(path) for path in files},
    }
    write_json(out / "manifest.json", manifest)
    shutil.rmtree(out / "parts", ignore_errors=True)
    return manifest


# --- processes -------------------------------------------------------------------------------------------------------

_Run = Callable[[Callable[[int], None], list[int], str, int], None]


@contextmanager
def _workers(num_workers: int, state: tuple[Path, ClevrConfig, Callable[[str], Renderer]]) -> Iterator[_Run]:
    """Yield a function that runs a unit of work for each of a list of numbers, with a progress bar."""
    if num_workers == 1:
        _start_worker(*state)

        def run_here(work: Callable[[int], None], items: list[int], title: str, total: int) -> None:
            for _ in _progress(map(work, items), items, title, total):
                pass

        yield run_here
        return
    context = multiprocessing.get_context("spawn")
    with _one_thread_each():
        pool = ProcessPoolExecutor(num_workers, mp_context=context, initializer=_start_pool_worker, initargs=state)

        def run_in_pool(work: Callable[[int], None], items: list[int], title: str, total: int) -> None:
            size = max(1, min(8, len(items) // (4 * num_workers)))
            try:
                for _ in _progress(pool.map(work, items, chunksize=size), items, title, total):
                    pass
            except BrokenProcessPool as error:
                raise TrilinguaError(
                    f"num_workers: one of {num_workers} processes died, perhaps for want of memory; "
                    "give the same command with fewer to go on"
                ) from error

        try:
            yield run_in_pool
        finally:
            pool.shutdown(cancel_futures=True)


def _start_pool_worker(out: Path, config: ClevrConfig, make_renderer: Callable[[str], Renderer]) -> None:
    # An interrupt from the keyboard reaches every process; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _start_worker(out, config, make_renderer)


def _progress(results: Any, items: list[int], title: str, total: int) -> Any:
    return tqdm(results, desc=title, initial=total - len(items), total=total, disable=None, smoothing=0.05)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Make processes started inside use one thread each: the scenes are what runs in parallel."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check_count(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}: {value!r} is not allowed; give a whole number of at least {least}")
