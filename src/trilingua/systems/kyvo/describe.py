"""What a run is made of, in words and numbers."""

import resource
import time
from pathlib import Path

from PIL import Image

from trilingua.systems.kyvo.build import Tokenizers, load_tokenizers, run_kind
from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.tokenizers.sequences import TASKS


def describe_run(run: Path) -> list[str]:
    """Return lines about a run of either stage.

    Parameters, spans of ids, lengths, bytes on disk; where there is a decoder, also speed and memory, measured now.
    """
    if run_kind(run) == "kyvo-tokenizers":
        return _describe_tokenizers(run, load_tokenizers(run))
    model = Kyvo.load(run)
    decoder = model.decoder
    lines = [
        *_describe_tokenizers(run, model.tokenizers),
        f"decoder     {_count(decoder)} parameters, {decoder.config.num_layers} layers of {decoder.config.dim}, "
        f"at most {decoder.config.max_positions} ids together",
        f"pictures    are read as {'codes' if model.read_codes else 'the vectors that were rounded to their codes'}",
        f"tasks       {', '.join(TASKS)}",
    ]
    blank = Image.new("RGB", (320, 240), (110, 110, 110))
    model.recognize(blank)
    start = time.perf_counter()
    model.recognize(blank)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    model.recognize([blank] * 8)
    batch = (time.perf_counter() - start) / 8
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    lines.append(f"speed       {seconds:.3f} s to recognize a blank picture, {batch:.3f} s each in a batch of 8")
    lines.append(f"memory      {peak / 1e6:.0f} MB at most so far")
    return lines


def _describe_tokenizers(run: Path, tokenizers: Tokenizers) -> list[str]:
    images, sequences, vocabulary = tokenizers.images, tokenizers.sequences, tokenizers.vocabulary
    tokens = images.config.tokens_per_image
    picture = 2 + tokens + len(sequences.place_ids)
    weights = sum(path.stat().st_size for path in run.glob("*.safetensors"))
    return [
        f"run         {run}",
        f"weights     {weights / 1e6:.1f} MB on disk",
        f"vocabulary  {vocabulary.size} ids, digest {vocabulary.digest[:12]}",
        *(f"  {span.name:<9} {span.start:>6} .. {span.stop - 1:<6} {span.size:>6} ids" for span in vocabulary.spans),
        f"lengths     picture {picture}, scene of {tokenizers.schema.max_objects} objects {sequences.scenes.longest}",
        f"images      {_count(images)} parameters, {images.config.image_size} x {images.config.image_size} pixels "
        f"-> {tokens} codes of {images.config.num_codes}",
    ]


def _count(module: object) -> str:
    total = sum(parameter.numel() for parameter in module.parameters())  # type: ignore[attr-defined]
    return f"{total / 1e6:.2f} M"
