"""Random records of a data set that never was: right in form, without meaning."""

import numpy as np

from trilingua.data.shards import EditRecord, QuestionRecord, SceneRecord
from trilingua.scenes.schema import CLEVR
from trilingua.tokenizers.sequences import SequenceTokenizer, count_places
from trilingua.tokenizers.text import TextTokenizer
from trilingua.tokenizers.vocabulary import Vocabulary, structural_markers

CODES = 9
CODE_DIM = 4


def make_sequences(num_image_codes=20, codes_per_place=0):
    """A sequence tokenizer over bytes, for pictures of nine codes."""
    text = TextTokenizer.train([], size=256)
    vocabulary = Vocabulary(
        text_size=text.size,
        text_digest=text.digest,
        markers=structural_markers(CLEVR, num_places=count_places(CODES, codes_per_place)),
        num_image_codes=num_image_codes,
    )
    return SequenceTokenizer(CLEVR, vocabulary, text, codes_per_image=CODES, codes_per_place=codes_per_place)


def random_record(generator, sequences, *, questions=3, edits=2, undrawn=0.5):
    """Draw one record; each edit lacks its picture with the chance `undrawn`."""

    def codes():
        return generator.integers(0, sequences.vocabulary.span("image").size, CODES)

    def framed(kind):
        start, end = sequences.borders[kind]
        return (start, *generator.integers(0, 256, generator.integers(0, 6)).tolist(), end)

    classes = generator.integers(-1, 2, (CODES, 5)).astype(np.int8)
    classes[:, 0] = abs(classes[:, 0])
    values = generator.normal(size=(CODES, 4)).astype(np.float16)
    values[classes[:, 0] == 0] = np.nan
    shown = tuple(np.flatnonzero(generator.random(CODES) < 0.6).tolist())
    return SceneRecord(
        image=codes().astype(np.uint16),
        shown=shown,
        vectors=generator.normal(size=(len(shown), CODE_DIM)).astype(np.float16),
        scene=framed("scene"),
        staged=framed("scene"),
        cell_classes=classes,
        cell_values=values,
        drawn_values=(values + generator.normal(size=values.shape)).astype(np.float16),
        questions=tuple(
            QuestionRecord(
                question=framed("text"),
                answer=framed("text"),
                program=(program := framed("program")),
                referents=tuple(generator.integers(-1, 4, len(program) + 1).tolist()),
            )
            for _ in range(questions)
        ),
        edits=tuple(
            EditRecord(
                instruction=framed("text"),
                reference=(reference := framed("program")),
                edited_scene=(edited := framed("scene")),
                edited_image=() if generator.random() < undrawn else tuple(codes().tolist()),
                referents=tuple(generator.integers(-1, 4, len(reference) + len(edited)).tolist()),
            )
            for _ in range(edits)
        ),
    )
