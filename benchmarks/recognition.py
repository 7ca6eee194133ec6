"""Recognition: picture files to scenes, ours against `transformers` and against the published loop."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import peers
from measure import time_in_turns
from subject import Subject
from tables import Section, reached

from trilingua.core.io import read_image
from trilingua.systems.kyvo.build import load_decoder
from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.tokenizers.sequences import TASKS

_TASK = TASKS["recognition"]


class _Race:
    """One set of pictures, recognized by each contender."""

    def __init__(self, model: Kyvo, peer: Any, pictures: Sequence[Path], *, may_stop: bool) -> None:
        self.model, self.peer, self.pictures, self.may_stop = model, peer, pictures, may_stop
        self.codes = self.encode()
        self.prompts = self.compose(self.codes)
        self.ours = [decoded.ids for decoded in self.decode()]
        grammar = model.grammar("recognition")
        assert grammar.longest is not None, "a scene has a largest number of objects"
        # Weights that never learnt to stop write as much as ours did, stop id included.
        self.limit = grammar.longest if may_stop else 1 + max(map(len, self.ours))
        self.stop_id = grammar.stop_id

    def encode(self) -> list[list[int]]:
        return self.model.images.tokenize_pictures([read_image(path) for path in self.pictures]).tolist()

    def compose(self, codes: Sequence[Sequence[int]]) -> list[list[int]]:
        return [self.model.sequences.prompt(_TASK, {"image": item}) for item in codes]

    def parse(self, written: Sequence[Sequence[int]]) -> list[Any]:
        return [self.model.sequences.parse(_TASK, ids).values["scene"] for ids in written]

    def recognize(self, model: Kyvo) -> list[Any]:
        return model.recognize(list(self.pictures))

    def decode(self) -> list[Any]:
        return self.model.decode_task("recognition", [{"image": codes} for codes in self.codes])

    def generate(self, prompts: Sequence[Sequence[int]] | None = None) -> list[list[int]]:
        return peers.generate(
            self.peer,
            self.prompts if prompts is None else prompts,
            stop_id=self.stop_id,
            max_new_tokens=self.limit,
            may_stop=self.may_stop,
        )

    def recognize_by_generate(self) -> list[Any]:
        return self.parse(self.generate(self.compose(self.encode())))

    def loop(self, prompts: Sequence[Sequence[int]] | None = None) -> list[list[int]]:
        return [
            peers.published_loop(
                self.peer, prompt, stop_id=self.stop_id, max_new_tokens=self.limit, may_stop=self.may_stop
            )
            for prompt in (self.prompts if prompts is None else prompts)
        ]

    def recognize_by_loop(self) -> list[Any]:
        return self.parse(self.loop(self.compose(self.encode())))


def run(subject: Subject) -> Section:
    """Time single pictures and a batch of eight."""
    model, shipped = Kyvo.load(subject.run, read_codes=True, average_numbers=False), Kyvo.load(subject.run)
    _, decoder = load_decoder(subject.run, model.tokenizers)
    peer = peers.load_exported(subject.export(decoder, model.tokenizers))
    repeats = 1 if subject.quick else 7
    section = Section(
        title="Recognition: picture files to scenes, milliseconds a picture",
        header=("", "ours", "`generate`", "published loop", "against `generate`", "against the loop"),
    )
    # The picture of the middle length stands for single ones.
    whole = _Race(model, peer, subject.pictures, may_stop=subject.is_trained)
    order = sorted(range(len(whole.ours)), key=lambda index: len(whole.ours[index]))
    middle = order[len(order) // 2]
    single = _Race(model, peer, [subject.pictures[middle]], may_stop=subject.is_trained)

    loop = time_in_turns(
        {"all": single.recognize_by_loop, "decoding": single.loop}, repeats=min(repeats, 3), warm_up=False
    )
    for race, name, target in ((single, "single", 2.0), (whole, f"batch of {len(whole.pictures)}", 3.0)):
        count = len(race.pictures)
        seconds = time_in_turns(
            {
                "ours": partial(race.recognize, model),
                "as it comes": partial(race.recognize, shipped),
                "generate": race.recognize_by_generate,
                "our decoding": race.decode,
                "its decoding": race.generate,
            },
            repeats=repeats,
            warm_up=not subject.quick,
        )
        for what, ours, its, looped in (
            ("file to scene", "ours", "generate", "all"),
            ("decoding alone", "our decoding", "its decoding", "decoding"),
            ("file to scene, as the model comes", "as it comes", "generate", "all"),
        ):
            ratio = seconds[its] / seconds[ours]
            times = [1000 * value for value in (seconds[ours] / count, seconds[its] / count, loop[looped])]
            section.rows.append(
                (
                    f"{name}: {what}",
                    *(f"{value:.1f}" for value in times),
                    reached(ratio, target) if ours == "ours" else f"{ratio:.2f}x",
                    f"{times[2] / times[0]:.1f}x",
                )
            )
    theirs = whole.generate()
    same = sum(ours == other for ours, other in zip(whole.ours, theirs, strict=True))
    lengths = [len(ids) for ids in whole.ours]
    section.notes = [
        f"The weights are {subject.description}; float32, greedy, the same prompts of {len(whole.prompts[0])} ids.",
        "Contenders encode the picture with our tokenizer and parse what is written; `generate` has its own "
        "key-value cache; the loop reads everything again for each id, one picture at a time, in a batch too.",
        f"As the model comes, it {'reads codes' if shipped.read_codes else 'sees pictures, as no peer can,'} and takes "
        "the means of likely numbers.",
        f"Ours wrote {min(lengths)} to {max(lengths)} ids, {lengths[middle]} for the single picture.",
    ]
    if subject.is_trained:
        section.notes.append(
            f"All stop at the same id or after {whole.limit} ids. `generate` writes the same ids as ours for {same} "
            f"of {len(theirs)} pictures."
        )
    else:
        section.notes.append(f"Random weights do not stop: the others write as many ids as ours did, {whole.limit}.")
    return section
