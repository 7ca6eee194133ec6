"""A CLEVR data directory to shards of ids."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, count
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int16

from trilingua.core.errors import InputError
from trilingua.core.io import read_json, write_json
from trilingua.data.cells import cell_targets
from trilingua.data.clevr.files import ClevrFolder, Instruction, Question, cell_objects
from trilingua.data.referents import UNKNOWN, edit_referents, program_referents, to_numbers
from trilingua.data.shards import EditRecord, Ids, QuestionRecord, SceneRecord, write_shard
from trilingua.scenes.functions import ANSWER_TYPES, REFERENCE_TYPES
from trilingua.scenes.program_text import add_findings, program_to_text
from trilingua.scenes.programs import Program, find_asked, node_parts
from trilingua.scenes.scene import Scene
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.tokenizers.scenes import NumberedScene, canonical_order
from trilingua.tokenizers.sequences import TASKS, Segment, SequenceTokenizer
from trilingua.tokenizers.text import TextTokenizer
from trilingua.tokenizers.vocabulary import Vocabulary

_SEGMENTS: dict[str, Segment] = {
    segment.name: segment for task in TASKS.values() for segment in (*task.given, *task.predicted)
}


def number_edit(source: Scene, target: Scene, order: list[int]) -> NumberedScene:
    """Return the target, each object with the number of the source's object that it comes from.

    An object that comes from none, since it was moved or is new, takes a number that is gone, or the next after the
    source's. So an edited scene is the given one with few tokens changed.

    Args:
        source: the scene before the edit.
        target: the scene after it; an object that was not moved stands exactly where it did.
        order: indices of the source's objects as they are written.
    """
    numbers = {source.objects[index].location[:2]: rank + 1 for rank, index in enumerate(order)}
    kept = {item.location[:2] for item in target.objects}
    free = chain((number for place, number in numbers.items() if place not in kept), count(len(order) + 1))
    found = sorted((numbers.get(item.location[:2]) or next(free), index) for index, item in enumerate(target.objects))
    objects = tuple(target.objects[index] for _, index in found)
    return NumberedScene(target.replace(objects=objects), tuple(number for number, _ in found))


def tokenize_folder(
    folder: ClevrFolder,
    out: str | Path,
    *,
    images: ImageTokenizer,
    sequences: SequenceTokenizer,
    index_map: Callable[[Scene], Int16[np.ndarray, "height width"]],
    scenes_per_shard: int = 2000,
    batch_size: int = 64,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the shards of a data directory and return how many scenes they hold; shards that exist are kept.

    An interrupted call goes on where it stopped, if it is called with the same arguments; `manifest.json` beside
    the shards says which they were.

    Args:
        folder: the data.
        out: where the shards go; `vocabulary.json` is written beside them.
        images: turns pictures into codes; put it into evaluation mode.
        sequences: turns everything else into ids.
        index_map: the object index of each pixel of a scene's picture.
        scenes_per_shard: size of a shard.
        batch_size: pictures that are tokenized at once.
        progress: called with the number of scenes that were just finished.

    Raises:
        VocabularyError: `out` holds shards of another vocabulary.
        InputError: `out` holds shards of another image tokenizer, another number of scenes or another size.
    """
    out = Path(out)
    if (out / "vocabulary.json").exists():
        sequences.vocabulary.require(Vocabulary.load(out / "vocabulary.json").digest, str(out))
    sequences.vocabulary.save(out / "vocabulary.json")
    _start_or_go_on(
        out / "manifest.json",
        {
            "scenes": len(folder),
            "scenes_per_shard": scenes_per_shard,
            "vocabulary": sequences.vocabulary.digest,
            "images": images.digest,
        },
    )
    questions: dict[str, list[Question]] = defaultdict(list)
    for question in folder.questions():
        questions[question.image_filename].append(question)
    instructions: dict[str, list[Instruction]] = defaultdict(list)
    for instruction in folder.instructions():
        instructions[instruction.image_filename].append(instruction)
    for start in range(0, len(folder), scenes_per_shard):
        positions = range(start, min(start + scenes_per_shard, len(folder)))
        path = out / f"shard_{start:08d}.safetensors"
        if not path.exists():
            records: list[SceneRecord] = []
            for part in range(0, len(positions), batch_size):
                scenes = [folder.scene(position) for position in positions[part : part + batch_size]]
                records += _records(folder, scenes, questions, instructions, images, sequences, index_map)
                progress(len(scenes))
            write_shard(path, records, sequences.vocabulary, image_tokenizer=images.digest)
    return len(folder)


def _start_or_go_on(path: Path, manifest: dict[str, str | int]) -> None:
    """Write what shards are made from, or check it: shards of two kinds in one folder could not be told apart."""
    if path.exists():
        found = read_json(path)
        for name, value in manifest.items():
            if isinstance(found, dict) and found.get(name, value) != value:
                raise InputError(
                    f"{path}: shards here were made with {name} {found[name]}, now it is {value}; "
                    "choose another --out, or remove the folder"
                )
    write_json(path, manifest)


def _records(
    folder: ClevrFolder,
    scenes: list[Scene],
    questions: dict[str, list[Question]],
    instructions: dict[str, list[Instruction]],
    images: ImageTokenizer,
    sequences: SequenceTokenizer,
    index_map: Callable[[Scene], Int16[np.ndarray, "height width"]],
) -> Iterator[SceneRecord]:
    schema = sequences.scenes.schema
    own = [str(scene.image_filename) for scene in scenes]
    edits = [instruction for name in own for instruction in instructions[name]]
    names = own + [edit.target_image_filename for edit in edits if edit.target_image_filename is not None]
    seen = images.see_pictures([folder.image(name) for name in names])
    vectors = dict(zip(names, seen.vectors.numpy().astype(np.float16), strict=True))
    codes = dict(zip(names, seen.codes.numpy().astype(np.uint16), strict=True))
    for scene, name in zip(scenes, own, strict=True):
        targets = cell_targets(scene, cell_objects(index_map(scene), grid=images.config.grid_size), schema)
        yield SceneRecord(
            image=codes[name],
            vectors=vectors[name],
            scene=tuple(sequences.segment(_SEGMENTS["scene"], scene)),
            cell_classes=targets.classes,
            cell_values=targets.values.astype(np.float16),
            questions=tuple(
                question_record(item.question, item.answer, item.program, scene, sequences)
                for item in questions[name]
                if item.answer is not None and item.program is not None
            ),
            edits=tuple(
                edit_record(item, sequences, codes[drawn].tolist() if (drawn := item.target_image_filename) else ())
                for item in instructions[name]
            ),
        )


def question_record(
    question: str, answer: str, program: Program, scene: Scene, sequences: SequenceTokenizer
) -> QuestionRecord:
    """Return a question about a scene as segments of ids."""
    thought = _think("program", program, scene, canonical_order(scene, sequences.scenes.schema), sequences)
    return QuestionRecord(
        question=tuple(sequences.segment(_SEGMENTS["question"], question)),
        program=thought.program,
        referents=thought.referents,
        answer=tuple(sequences.segment(_SEGMENTS["answer"], answer)),
    )


def edit_record(edit: Instruction, sequences: SequenceTokenizer, codes: Sequence[int] = ()) -> EditRecord:
    """Return an instruction and what it leads to as segments of ids.

    Args:
        edit: the instruction with its scenes.
        sequences: writes segments.
        codes: the target picture's, in raster order; none where it was not drawn.
    """
    source, target = edit.source_scene, edit.target_scene
    order = canonical_order(source, sequences.scenes.schema)
    changed = edit_referents(source, target, order)
    thought = _think("reference", edit.reference, source, order, sequences, changed=changed)
    edited_scene = tuple(sequences.segment(_SEGMENTS["edited_scene"], number_edit(source, target, order)))
    opened = {opening: 1 << index for index, opening in enumerate(sequences.scenes.starts)}
    touched = 0 if changed == UNKNOWN else changed
    return EditRecord(
        instruction=tuple(sequences.segment(_SEGMENTS["instruction"], edit.instruction)),
        reference=thought.program,
        edited_scene=edited_scene,
        referents=(
            *thought.referents,
            *(opened[token] & touched if token in opened else UNKNOWN for token in edited_scene),
        ),
        edited_image=tuple(codes),
    )


class _Thought(NamedTuple):
    """A program with its findings, and what each of its ids, and for a question the answer's first, is about."""

    program: Ids
    referents: Ids


def _think(
    kind: Literal["program", "reference"],
    program: Program | None,
    scene: Scene,
    order: list[int],
    sequences: SequenceTokenizer,
    *,
    changed: int = UNKNOWN,
) -> _Thought:
    """Return how a program is written and what it finds; nothing where there is none, or it cannot be run.

    Args:
        kind: what the program gives: an answer, or objects.
        program: what is asked of the scene.
        scene: the scene.
        order: indices of its objects in the order of their numbers.
        sequences: writes segments.
        changed: the object that an edit changes, which its reference then finds.
    """
    if program is None:
        return _Thought((), ())
    given = program_referents(program, scene, order)
    found = find_asked(program, given)
    if kind == "reference" and node_parts(program[-1])[0] != "unique":
        found.append(given[-1] if changed == UNKNOWN else changed)
    if UNKNOWN in found:
        return _Thought((), ())
    plain = program_to_text(program, gives=ANSWER_TYPES if kind == "program" else REFERENCE_TYPES)
    text = add_findings(plain, [to_numbers(members) for members in found])
    known = [UNKNOWN]  # the border
    findings = iter(found)
    words = zip(plain.split(" "), text.split(" "), given, strict=True)
    for index, (step, word, referents) in enumerate(words):
        length = len(sequences.text.tokenize(f" {step}" if index else step))
        known += [UNKNOWN] * (length - 1) + [referents]
        if step != word:
            known += _unnamed(next(findings), sequences.text.tokenize(word[len(step) :]), sequences.text)
    asked = (changed,) if kind == "reference" else (UNKNOWN, found[-1])
    return _Thought(program=tuple(sequences.segment(_SEGMENTS[kind], text)), referents=(*known, *asked))


def _unnamed(members: int, ids: Sequence[int], text: TextTokenizer) -> Iterator[int]:
    """Yield after each id of written findings the set of objects that are still to be named; nothing after the last."""
    numbers = to_numbers(members)
    ends = list(accumulate(len(str(number)) for number in numbers))
    for stop in range(1, len(ids)):
        length = len(text.detokenize(ids[:stop]))
        yield sum(1 << number - 1 for number, end in zip(numbers, ends, strict=True) if end > length)
    yield UNKNOWN
