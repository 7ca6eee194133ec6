"""A CLEVR data directory to shards of ids, a shard a unit of work, in one process, several, or a cluster's."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int16
from PIL import Image

from trilingua.core.config import to_json
from trilingua.core.errors import naming
from trilingua.core.io import digest_json
from trilingua.core.random import make_generator
from trilingua.data.augment import AugmentConfig, augment, shift_offsets
from trilingua.data.cells import cell_targets
from trilingua.data.clevr.files import ClevrFolder, cell_objects
from trilingua.data.clevr.staging import REFERENCE_CAMERA, stage
from trilingua.data.clevr.views import view_of
from trilingua.data.cluster import workers_at
from trilingua.data.directory import adopt_settings, check_count
from trilingua.data.renderers.views import camera_for_view
from trilingua.data.shards import SceneRecord, holds_scenes, write_shard
from trilingua.data.tokenize import edit_record, question_record
from trilingua.scenes.scene import Scene
from trilingua.tokenizers.images import ImageTokenizer, seen_cells
from trilingua.tokenizers.sequences import SEGMENTS, SequenceTokenizer
from trilingua.tokenizers.vocabulary import Vocabulary


class ShardTools(NamedTuple):
    """What turns scenes into records."""

    images: ImageTokenizer
    """Turns pictures into codes; in evaluation mode."""
    sequences: SequenceTokenizer
    """Turns everything else into ids."""
    index_map: Callable[[Scene], Int16[np.ndarray, "height width"]]
    """The object index of each pixel of a scene's picture."""


def tokenize_folder(
    folder: ClevrFolder,
    out: str | Path,
    *,
    make_tools: Callable[[], ShardTools],
    augmentation: AugmentConfig | None = None,
    scenes_per_shard: int = 500,
    batch_size: int = 64,
    num_workers: int = 1,
    cluster: str | None = None,
) -> int:
    """Write the shards of a data directory and return how many scenes they hold; shards that exist are kept.

    An interrupted call goes on where it stopped, if it is called with the same arguments; `settings.json` beside
    the shards says which they were. The data may have grown since: what is new is added.

    Args:
        folder: the data.
        out: where the shards go; `vocabulary.json` is written beside them.
        make_tools: makes what turns scenes into records, in each process; picklable for more than one.
        augmentation: how given pictures are changed before they are seen; their codes are of what they were. An eye
            that finds places by sighting is given whole pictures, since a crop is a picture of another lens.
        scenes_per_shard: size of a shard.
        batch_size: pictures that are tokenized at once.
        num_workers: number of processes, at least 1; 1 works in this process.
        cluster: address of a Ray cluster whose machines do the work instead, as `cluster_workers` takes it;
            all must see both folders.

    Raises:
        VocabularyError: `out` holds shards of another vocabulary.
        InputError: `out` holds shards of another image tokenizer, of more scenes, of another size, or other things.
        WorkerError: a process died.
        DependencyError: a cluster is wanted and Ray is not installed.
        ConfigError: a number below 1.
    """
    for name, count in (
        ("scenes_per_shard", scenes_per_shard),
        ("batch_size", batch_size),
        ("num_workers", num_workers),
    ):
        check_count(name, count, 1)
    out = Path(out).absolute()  # another machine works in another folder
    augmentation = augmentation or AugmentConfig()
    tools = make_tools()
    if tools.images.config.eye_light_modes:
        augmentation = replace(augmentation, crop=0.0)
    vocabulary = tools.sequences.vocabulary
    if (out / "vocabulary.json").exists():
        vocabulary.require(Vocabulary.load(out / "vocabulary.json").digest, str(out))
    begun = any(out.glob("shard_*.safetensors"))
    settings = {
        "data": _identity(folder),
        "num_scenes": len(folder),
        "scenes_per_shard": scenes_per_shard,
        "vocabulary": vocabulary.digest,
        "images": tools.images.digest,
        "augmentation": to_json(augmentation),
    }
    adopt_settings(
        out,
        settings,
        command="trilingua tokenize",
        may_become=partial(_may_become, begun),
    )
    vocabulary.save(out / "vocabulary.json")
    del tools  # in a pool, this process only waits
    starts = range(0, len(folder), scenes_per_shard)
    missing = [
        start
        for start in starts
        if not holds_scenes(_shard_path(out, start), min(scenes_per_shard, len(folder) - start))
    ]
    setup = (_start_worker, (folder, out, make_tools, augmentation, scenes_per_shard, batch_size))
    with workers_at(cluster, num_workers, *setup) as run:
        run(_make_shard, missing, title="shards", total=len(starts))
    return len(folder)


def _identity(folder: ClevrFolder) -> str:
    """Return what tells a folder from others, and from itself when its questions were others; growing leaves it."""
    scene = folder.scene(0)
    asked = [asdict(question) for question in folder.questions_of(scene)]
    return digest_json([scene.to_json(), asked, [edit.instruction for edit in folder.instructions_of(scene)]])


def _may_become(begun: bool, name: str, old: Any, new: Any) -> bool:
    if name == "data":  # earlier versions did not say; and what was refused may have been repaired
        return old is None or not begun
    return name == "num_scenes" and isinstance(old, int) and old < new


def _shard_path(out: Path, start: int) -> Path:
    return out / f"shard_{start:08d}.safetensors"


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """What a process keeps between shards."""

    folder: ClevrFolder
    out: Path
    tools: ShardTools
    augmentation: AugmentConfig
    scenes_per_shard: int
    batch_size: int


_worker: _Worker | None = None


def _start_worker(
    folder: ClevrFolder,
    out: Path,
    make_tools: Callable[[], ShardTools],
    augmentation: AugmentConfig,
    scenes_per_shard: int,
    batch_size: int,
) -> None:
    global _worker
    _worker = _Worker(
        folder=folder,
        out=out,
        tools=make_tools(),
        augmentation=augmentation,
        scenes_per_shard=scenes_per_shard,
        batch_size=batch_size,
    )


def _make_shard(start: int) -> None:
    assert _worker is not None, "a process is started with _start_worker"
    folder, tools = _worker.folder, _worker.tools
    positions = range(start, min(start + _worker.scenes_per_shard, len(folder)))
    records: list[SceneRecord] = []
    for part in range(0, len(positions), _worker.batch_size):
        records += _records(folder, positions[part : part + _worker.batch_size], tools, _worker.augmentation)
    write_shard(
        _shard_path(_worker.out, start), records, tools.sequences.vocabulary, image_tokenizer=tools.images.digest
    )


def _records(
    folder: ClevrFolder, positions: range, tools: ShardTools, augmentation: AugmentConfig
) -> Iterator[SceneRecord]:
    images, sequences = tools.images, tools.sequences
    scenes = [folder.scene(position) for position in positions]
    own = [scene.image_filename for scene in scenes]
    plain = [folder.image(name) for name in own]
    given = [
        augment(np.asarray(picture), augmentation, make_generator(0, "augment", position))
        for position, picture in zip(positions, plain, strict=True)
    ]
    seen = images.see_pictures(Image.fromarray(item.image) for item in given)
    edits = [folder.instructions_of(scene) for scene in scenes]
    drawn = [edit.target_image_filename for group in edits for edit in group]
    # What is seen as it was has its codes already; everything else that is painted is not looked at.
    codes = {name: row for name, item, row in zip(own, given, seen.codes, strict=True) if item.image is item.plain}
    painted = {name: picture for name, picture in zip(own, plain, strict=True) if name not in codes}
    painted |= {name: folder.image(name) for name in drawn if name is not None}
    if painted:
        codes |= dict(zip(painted, images.tokenize_pictures(painted.values()), strict=True))
    grid_size = images.config.grid_size
    for position, scene, group, item, (shown, vectors) in zip(
        positions, scenes, edits, given, seen_cells(seen), strict=True
    ):
        with naming(folder.where(position)):
            cells = cell_objects(tools.index_map(scene), grid=grid_size)
            schema, staged = sequences.scenes.schema, stage(scene)
            targets = cell_targets(scene, cells, camera_for_view(view_of(scene)), schema)
            record = SceneRecord(
                image=codes[scene.image_filename].numpy().astype(np.uint16),
                shown=shown,
                vectors=vectors.numpy().astype(np.float16),
                scene=tuple(sequences.segment(SEGMENTS["scene"], scene)),
                staged=tuple(sequences.segment(SEGMENTS["scene"], staged)),
                cell_classes=targets.classes,
                cell_values=shift_offsets(targets.values, item.crop, grid_size).astype(np.float16),
                drawn_values=cell_targets(staged, cells, REFERENCE_CAMERA, schema).values.astype(np.float16),
                questions=tuple(
                    question_record(item.question, item.answer, item.program, scene, sequences)
                    for item in folder.questions_of(scene)
                    if item.answer is not None and item.program is not None
                ),
                edits=tuple(
                    edit_record(
                        edit, sequences, codes[target].tolist() if (target := edit.target_image_filename) else ()
                    )
                    for edit in group
                ),
            )
        yield record
