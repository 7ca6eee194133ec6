"""What a run is made of, in words and numbers."""

import resource
import time
from pathlib import Path

from PIL import Image

from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.tokenizers.sequences import TASKS


def describe_run(run: Path) -> list[str]:
    """Return lines about a run: parameters, spans of ids, lengths, bytes on disk, and speed and memory measured now."""
    model = Kyvo.load(run)
    decoder, images = model.decoder, model.images
    vocabulary = model.sequences.vocabulary
    tokens = images.config.tokens_per_image
    picture = 2 + tokens + len(model.sequences.place_ids)
    schema = model.tokenizers.schema
    scene = 2 + schema.max_objects * (2 + sum(1 + getattr(a, "count", 1) for a in schema.attributes))
    weights = sum(path.stat().st_size for path in run.glob("*.safetensors"))
    lines = [
        f"run         {run}",
        f"decoder     {_count(decoder)} parameters, {decoder.config.num_layers} layers of {decoder.config.dim}",
        f"images      {_count(images)} parameters, {images.config.image_size} x {images.config.image_size} pixels "
        f"-> {tokens} codes of {images.config.num_codes}",
        f"weights     {weights / 1e6:.1f} MB on disk",
        f"vocabulary  {vocabulary.size} ids, digest {vocabulary.digest[:12]}",
        *(f"  {span.name:<9} {span.start:>6} .. {span.stop - 1:<6} {span.size:>6} ids" for span in vocabulary.spans),
        f"lengths     picture {picture}, scene of {schema.max_objects} objects {scene}, "
        f"at most {decoder.config.max_positions} together",
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


def _count(module: object) -> str:
    total = sum(parameter.numel() for parameter in module.parameters())  # type: ignore[attr-defined]
    return f"{total / 1e6:.2f} M"
