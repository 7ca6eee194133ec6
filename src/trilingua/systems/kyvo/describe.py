"""What a run is made of, and what a preset would make, in words and numbers."""

import dataclasses
import resource
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from trilingua.core.presets import get_preset, preset_names
from trilingua.models.decoder import Decoder
from trilingua.systems.kyvo.build import (
    Tokenizers,
    build_image_task,
    build_sequences,
    build_text_tokenizer,
    empty_decoder,
    load_tokenizers,
    run_kind,
)
from trilingua.systems.kyvo.config import KyvoConfig, TokenizersConfig
from trilingua.systems.kyvo.pipeline import Kyvo
from trilingua.systems.kyvo.task import KyvoTask
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.tokenizers.sequences import TASKS, Segment, SequenceTokenizer
from trilingua.training.averaging import WeightAverage
from trilingua.training.optimizers import build_optimizers, optimizer_tensors
from trilingua.training.task import TrainTask
from trilingua.training.trainer import TrainerConfig

_USUAL_TOKENIZERS = "kyvo-clevr-tokenizers"
"""The first stage of a preset that has none of its own name."""

_LEARNT_TEXT = "if the data teach all of the text's"
_BACKBONE_TEXT = "with the text's of the backbone"
"""What is said of the number of ids where the text tokenizer is not there yet."""


def describe_run(run: Path) -> list[str]:
    """Return lines about a run of either stage.

    Parameters, spans of ids, lengths, bytes on disk; where there is a decoder, also speed and memory, measured now.
    """
    model = Kyvo.load(run) if run_kind(run) == "kyvo" else None
    tokenizers = load_tokenizers(run) if model is None else model.tokenizers
    weights = sum(path.stat().st_size for path in run.glob("*.safetensors"))
    lines = [
        f"run         {run}",
        f"weights     {_megabytes(weights)} on disk",
        *_describe_tokenizers(tokenizers, f"digest {tokenizers.vocabulary.digest[:12]}"),
    ]
    if model is None:
        return lines
    # Of different grays, since a picture that is given several times is looked at once.
    blanks = [Image.new("RGB", (320, 240), (gray, gray, gray)) for gray in range(80, 144, 8)]
    model.recognize(blanks[0])
    start = time.perf_counter()
    model.recognize(blanks[0])
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    model.recognize(blanks)
    batch = (time.perf_counter() - start) / 8
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return [
        *lines,
        _describe_decoder(model.decoder),
        f"pictures    are {_how_pictures_are_given(model)}",
        f"speed       {seconds:.3f} s to recognize a blank picture, {batch:.3f} s each in a batch of 8",
        f"memory      {_megabytes(peak)} at most so far",
    ]


def describe_plan(name: str) -> list[str]:
    """Return lines about what a preset would make: all that is known without data, weights and memory.

    Everything is built on the meta device, where tensors have sizes and no values.

    Raises:
        ConfigError: no such preset.
    """
    config = get_preset(name)
    task: TrainTask
    if isinstance(config, TokenizersConfig):
        tokenizers = _expected_tokenizers(config, config.text_size)
        with torch.device("meta"):
            task = build_image_task(config, tokenizers.images)
        lines = _describe_tokenizers(tokenizers, _LEARNT_TEXT)
    else:
        assert isinstance(config, KyvoConfig), "a preset is of one of the two stages"
        stage_one = f"{name}-tokenizers" if f"{name}-tokenizers" in preset_names() else _USUAL_TOKENIZERS
        first: TokenizersConfig = get_preset(stage_one)
        from_scratch = config.recipe == "scratch"
        tokenizers = _expected_tokenizers(first, first.text_size if from_scratch else config.decoder.num_text)
        with torch.device("meta"):
            decoder = empty_decoder(config, tokenizers)
            task = KyvoTask(config, tokenizers, decoder)
        lines = [
            f"tokenizers  those of {stage_one} are assumed; the run that --tokenizers names decides",
            *_describe_tokenizers(tokenizers, _LEARNT_TEXT if from_scratch else _BACKBONE_TEXT),
            _describe_decoder(decoder),
        ]
    return [*lines, *_describe_training(task, config.trainer), "speed       is measured on a run: trilingua info RUN"]


def _expected_tokenizers(config: TokenizersConfig, num_text: int) -> Tokenizers:
    """Return what the first stage would make; its text tokenizer knows no more than the schema's words.

    Data or a backbone bring the text tokenizer, but each of them writes such a word as one id, so that scenes are as
    long as they will be.

    Args:
        config: of the first stage.
        num_text: ids that the text tokenizer will have.
    """
    own_text = dataclasses.replace(config, backbone="")
    known = build_sequences(own_text, build_text_tokenizer(own_text, ()))
    sequences = SequenceTokenizer(
        known.scenes.schema,
        dataclasses.replace(known.vocabulary, text_size=num_text),
        known.text,
        codes_per_image=known.codes_per_image,
        codes_per_place=known.codes_per_place,
    )
    with torch.device("meta"):
        return Tokenizers(config=config, images=ImageTokenizer(config.images), sequences=sequences)


def _describe_tokenizers(tokenizers: Tokenizers, about_ids: str) -> list[str]:
    """Return lines about ids, lengths and codes; `about_ids` is said of their number."""
    images, sequences, vocabulary = tokenizers.images, tokenizers.sequences, tokenizers.vocabulary
    picture = _count_ids(sequences, [Segment(kind="image", name="image")])
    return [
        f"vocabulary  {vocabulary.size} ids, {about_ids}",
        *(f"  {span.name:<9} {span.start:>6} .. {span.stop - 1:<6} {span.size:>6} ids" for span in vocabulary.spans),
        f"lengths     picture {picture}, scene of {tokenizers.schema.max_objects} objects {sequences.scenes.longest}; "
        "prompt -> prediction, at most",
        *(
            f"  {task.name:<12} {_count_ids(sequences, task.given, beside=2)} -> "
            f"{_count_ids(sequences, task.predicted, beside=1)}"
            for task in TASKS.values()
        ),
        f"images      {_count_parameters(images)}, {images.config.image_size} x {images.config.image_size} pixels "
        f"-> {images.config.tokens_per_image} codes of {images.config.num_codes}",
    ]


def _count_ids(sequences: SequenceTokenizer, segments: Sequence[Segment], *, beside: int = 0) -> str:
    """Return how many ids segments have at most, and the names of texts, which may have any number.

    Args:
        sequences: how they are written.
        segments: some of a task's.
        beside: ids that stand beside them: [BEGIN] and [OUTPUT-START] in a prompt, [END] in a prediction.
    """
    total, texts = beside, []
    for segment in segments:
        if segment.kind == "scene":
            total += sequences.scenes.longest
        elif segment.kind == "image":
            total += len(sequences.segment(segment, [0] * sequences.codes_per_image))
        else:
            total += len(sequences.segment(segment, ""))
            texts.append(segment.name)
    return " + ".join((str(total), *texts))


def _how_pictures_are_given(model: Kyvo) -> str:
    if model.read_codes:
        return "read as codes"
    layers = model.images.config.eye_layers
    if not layers:
        return "seen: the vectors that are rounded to codes"
    sighting = "; places are found by sighting" if model.images.config.eye_light_modes else ""
    return f"seen: what an eye of {layers} layers makes of the cells that may show an object{sighting}"


def _describe_decoder(decoder: Decoder) -> str:
    return (
        f"decoder     {_count_parameters(decoder)}, {decoder.config.num_layers} layers of {decoder.config.dim}, "
        f"at most {decoder.config.max_positions} ids together"
    )


def _describe_training(task: TrainTask, config: TrainerConfig) -> list[str]:
    """Return lines about the memory that training holds from step to step, read off one step on the meta device."""
    module = task.modules()
    optimizers = build_optimizers(
        module,
        kind=config.optimizer,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=config.betas,
    )
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.grad = torch.empty_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    held: dict[str, Iterable[Tensor]] = {
        "weights": module.state_dict().values(),
        "gradients": [parameter.grad for parameter in trained if parameter.grad is not None],
        "optimizer": optimizer_tensors(module, optimizers, lambda tensor: tensor).values(),
    }
    if config.ema_decay:
        held["average"] = WeightAverage(module, config.ema_decay).tensors.values()
    total: Counter[torch.dtype] = Counter()
    lines = []
    for name, tensors in held.items():
        sizes: Counter[torch.dtype] = Counter()
        for tensor in tensors:
            sizes[tensor.dtype] += tensor.nbytes
        total += sizes
        lines.append(f"  {name:<12} {_by_type(sizes)}")
    return [f"memory      {_megabytes(total.total())} to train, beside activations", *lines]


def _by_type(sizes: Counter[torch.dtype]) -> str:
    """Return bytes by type of number, the most first; whole numbers are counters, of a few bytes."""
    return ", ".join(
        f"{_megabytes(size)} {str(dtype).removeprefix('torch.')}"
        for dtype, size in sizes.most_common()
        if dtype.is_floating_point
    )


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"


def _count_parameters(module: nn.Module) -> str:
    total = sum(parameter.numel() for parameter in module.parameters())
    return f"{total / 1e6:.2f} M parameters"
