"""A quick look at a decoder while it trains: held-out shards, read as they are trained on, with pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trilingua.data.shards import SceneRecord, Shards
from trilingua.metrics.image import score_images
from trilingua.metrics.scene_match import score_scenes
from trilingua.models.decoder import Decoder
from trilingua.scenes.scene import Scene
from trilingua.systems.kyvo.build import Tokenizers
from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.systems.kyvo.seeing import SeenPicture
from trilingua.tokenizers.sequences import TASKS, SeenCells

_PICTURES = 8
"""How many scenes are drawn at an evaluation: drawing takes the longest."""


def make_judge(
    tokenizers: Tokenizers, shards: Shards, num_scenes: int, *, read_codes: bool = True
) -> Callable[[Decoder, Path], dict[str, float]]:
    """Return a function that evaluates a decoder on the last `num_scenes` scenes of the shards.

    Pictures are read as codes, or as vectors where `read_codes` is false. Scenes are compared with their own tokens
    read back, so that numbers are those of the grid, and drawn pictures with what is painted of the true ones' codes.
    """
    records = [shards[index] for index in range(len(shards) - num_scenes, len(shards))]
    sequences = tokenizers.sequences
    truth = [sequences.scenes.detokenize(record.scene).scene for record in records]

    def judge(decoder: Decoder, out_dir: Path) -> dict[str, float]:
        # Where it is trained: asked elsewhere, the decoder itself would be moved there.
        device = str(next(decoder.parameters()).device)
        model = Kyvo(tokenizers, decoder, device=device, read_codes=read_codes)
        figures = {"recognition_jaccard": _recognition(model, records, truth)}
        edits = [(record, scene, record.edits[0]) for record, scene in zip(records, truth, strict=True) if record.edits]
        if edits:
            values = [
                {"image": _seen(record), "scene": scene, "instruction": _text(model, edit.instruction)}
                for record, scene, edit in edits
            ]
            wanted = [sequences.scenes.detokenize(edit.edited_scene).scene for _, _, edit in edits]
            scenes = [
                sequences.parse(TASKS["editing"], decoded.ids).values["edited_scene"]
                for decoded in model.decode_task("editing", values, last_segment="edited_scene")
            ]
            figures["editing_jaccard"] = score_scenes(scenes, wanted)["jaccard"]
        asked = [
            (record, scene, question)
            for record, scene in zip(records, truth, strict=True)
            for question in record.questions[:2]
        ]
        if asked:
            values = [
                {"image": _seen(record), "scene": scene, "question": _text(model, question.question)}
                for record, scene, question in asked
            ]
            answers = [_text(model, question.answer) for _, _, question in asked]
            programs = [_text(model, question.program) for _, _, question in asked]
            written = [sequences.parse(TASKS["qa"], decoded.ids).values for decoded in model.decode_task("qa", values)]
            figures["qa_accuracy"] = sum(w["answer"] == a for w, a in zip(written, answers, strict=True)) / len(asked)
            right = sum(w["program"] == p for w, p in zip(written, programs, strict=True))
            figures["program_accuracy"] = right / len(asked)
        return {**figures, "rendering_ssim": _draw(model, records[:_PICTURES], out_dir / "rendering.png")}

    return judge


def _recognition(model: Kyvo, records: list[SceneRecord], truth: list[Scene]) -> float:
    decoded = model.decode_task("recognition", [{"image": _seen(record)} for record in records])
    found = [model.sequences.parse(TASKS["recognition"], item.ids).values["scene"] for item in decoded]
    return float(score_scenes(found, truth)["jaccard"])


def _seen(record: SceneRecord) -> SeenPicture:
    return SeenPicture(
        record.image.tolist(), SeenCells(record.shown), torch.from_numpy(record.vectors.astype(np.float32))
    )


def _text(model: Kyvo, segment: tuple[int, ...]) -> str:
    span = model.sequences.vocabulary.span("text")
    return model.sequences.text.detokenize([token - span.start for token in segment if token in span]).strip()


def _draw(model: Kyvo, records: list[SceneRecord], path: Path) -> float:
    """Write the tokenizer's reconstructions above the model's own pictures of the same scenes; return their SSIM."""
    staged = [model.sequences.scenes.detokenize(record.staged).scene for record in records]
    decoded = model.decode_task("rendering", [{"scene": scene} for scene in staged])
    painted = [model.paint([record.image.tolist() for record in records]), model.draw(decoded)]
    rows = [np.concatenate([np.asarray(picture) for picture in row], axis=1) for row in painted]
    Image.fromarray(np.concatenate(rows)).save(path)
    return float(score_images(painted[1], painted[0])["ssim"])
