"""Questions and edits to records of ids: what is asked, the steps of thinking, what follows from them."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, count
from typing import Literal, NamedTuple

from trilingua.data.clevr.files import Instruction
from trilingua.data.referents import UNKNOWN, edit_referents, program_referents, to_numbers
from trilingua.data.shards import EditRecord, Ids, QuestionRecord
from trilingua.scenes.functions import ANSWER_TYPES, REFERENCE_TYPES
from trilingua.scenes.program_text import (
    FINDINGS_END,
    Finding,
    add_findings,
    find_shown,
    program_from_text,
    program_to_text,
)
from trilingua.scenes.programs import Program, check_program, execute_program, find_asked, node_parts
from trilingua.scenes.scene import Scene
from trilingua.tokenizers.scenes import NumberedScene, canonical_order
from trilingua.tokenizers.sequences import SEGMENTS, SequenceTokenizer
from trilingua.tokenizers.text import TextTokenizer


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


def question_record(
    question: str, answer: str, program: Program, scene: Scene, sequences: SequenceTokenizer
) -> QuestionRecord:
    """Return a question about a scene as segments of ids."""
    thought = _think("program", program, scene, canonical_order(scene, sequences.scenes.schema), sequences)
    return QuestionRecord(
        question=tuple(sequences.segment(SEGMENTS["question"], question)),
        program=thought.program,
        referents=thought.referents,
        answer=tuple(sequences.segment(SEGMENTS["answer"], answer)),
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
    edited_scene = tuple(sequences.segment(SEGMENTS["edited_scene"], number_edit(source, target, order)))
    opened = {opening: 1 << index for index, opening in enumerate(sequences.scenes.starts)}
    touched = 0 if changed == UNKNOWN else changed
    return EditRecord(
        instruction=tuple(sequences.segment(SEGMENTS["instruction"], edit.instruction)),
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
    gives = ANSWER_TYPES if kind == "program" else REFERENCE_TYPES
    if program is None or check_program(program, gives=gives):
        return _Thought((), ())
    plain = program_to_text(program, gives=gives)
    program = program_from_text(plain, gives=gives).program  # in the order of its words; CLEVR's own may be in another
    assert program is not None, "what was written can be read"
    found_by = execute_program(program, scene, gives=gives)
    if found_by.problem:
        return _Thought((), ())
    outputs = found_by.outputs
    about = list(program_referents(program, outputs, order))
    shown = find_shown(program)
    if kind == "reference" and shown[-1] == len(program) - 1 and changed != UNKNOWN:
        about[-1] = changed
    findings: list[Finding] = []
    known = [UNKNOWN]  # the border
    for index, step in enumerate(plain.split(" ")):
        name, inputs, _ = node_parts(program[index])
        output, members = outputs[index], about[index]
        known += _behind(f" {step}" if index else step, members, sequences.text)
        if index not in shown:
            continue
        if not isinstance(output, list):
            findings.append(output)
            known += _behind(f" {output}", UNKNOWN, sequences.text)
            continue
        if name.startswith("same_"):  # first the object whose value is shared, then those that share it
            known[-1] = about[inputs[0]]
            findings.append(getattr(scene.objects[outputs[inputs[0]]], name.removeprefix("same_")))
            known += _behind(f" {findings[-1]}", members, sequences.text)
        numbers = to_numbers(members)
        findings.append(numbers)
        written = "".join(map(str, numbers)) + FINDINGS_END
        known += _unnamed(numbers, sequences.text.tokenize(written), sequences.text)
    text = add_findings(plain, findings)
    asked = (changed,) if kind == "reference" else (UNKNOWN, find_asked(program, about)[-1])
    return _Thought(program=tuple(sequences.segment(SEGMENTS[kind], text)), referents=(*known, *asked))


def _behind(words: str, members: int, text: TextTokenizer) -> list[int]:
    """Return `members` behind the last id of some words, and nothing inside of them."""
    return [UNKNOWN] * (len(text.tokenize(words)) - 1) + [members]


def _unnamed(numbers: Sequence[int], ids: Sequence[int], text: TextTokenizer) -> Iterator[int]:
    """Yield after each id of written findings the set of objects that are still to be named; nothing after the last."""
    ends = list(accumulate(len(str(number)) for number in numbers))
    for stop in range(1, len(ids)):
        length = len(text.detokenize(ids[:stop]))
        yield sum(1 << number - 1 for number, end in zip(numbers, ends, strict=True) if end > length)
    yield UNKNOWN
