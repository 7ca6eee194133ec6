"""Configurations to objects: the only place where Kyvo's vocabulary, tokenizers and model are put together.

A tokenizers' run directory holds `config.json`, `text.json`, `vocabulary.json` and `model.safetensors`; a
decoder's run directory the same, with the weights of the image tokenizer and of the probes that taught it in
`images.safetensors`, so that one folder is all that loading and training further need.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trilingua.core.config import differences, from_json, to_json
from trilingua.core.errors import CheckpointError, ConfigError, VocabularyError
from trilingua.core.io import existing_folder, read_json, write_json
from trilingua.core.random import make_generator
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.instructions import generate_instructions
from trilingua.data.clevr.questions import generate_questions
from trilingua.data.pictures import PictureBatch
from trilingua.metrics.calibration import ScoreMap
from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.models.llama_weights import load_llama
from trilingua.models.smollm2 import smollm2_folder
from trilingua.nn.lora import add_adapters, merge_adapters
from trilingua.scenes.program_text import program_to_text
from trilingua.scenes.schema import Schema
from trilingua.systems.kyvo.camera_task import CameraTask
from trilingua.systems.kyvo.config import KyvoConfig, TokenizersConfig, schema_named, with_spans
from trilingua.systems.kyvo.drafts import DraftHead
from trilingua.systems.kyvo.eye_task import EyeTask
from trilingua.systems.kyvo.image_task import ImageTokenizerTask
from trilingua.systems.kyvo.painter_task import PainterTask
from trilingua.systems.kyvo.probes import RECOGNIZED, begin_sighting, object_probe
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.tokenizers.sequences import SequenceTokenizer, count_places
from trilingua.tokenizers.text import TextTokenizer
from trilingua.tokenizers.vocabulary import Vocabulary, structural_markers
from trilingua.training.checkpoints import (
    copy_tensors,
    load_weights,
    module_tensors,
    read_weights,
    save_weights,
)


@dataclass(frozen=True, kw_only=True)
class Tokenizers:
    """Everything that turns a person's values into ids and back."""

    config: TokenizersConfig
    """What they were made from."""
    images: ImageTokenizer
    """Pictures to codes and back."""
    sequences: SequenceTokenizer
    """Everything else, and whole sequences."""
    probes: Mapping[str, Tensor] = field(default_factory=dict)
    """Weights of the probes that taught the image tokenizer, by name: who trains it further goes on with them."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary that the tokenizers share."""
        return self.sequences.vocabulary

    @property
    def schema(self) -> Schema:
        """Whose scenes they read and write."""
        return self.sequences.scenes.schema


def task_texts(folder: ClevrFolder, *, num_scenes: int = 400) -> list[str]:
    """Return questions, answers, programs and instructions about a folder's first scenes.

    They are made afresh, so that the folder needs to hold no more than scenes.
    """
    texts: list[str] = []
    for index, scene in enumerate(folder.scenes(num_scenes)):
        if not scene.objects:
            continue  # A picture of which nothing is known: there is nothing to ask or edit.
        generator = make_generator(0, "task texts", index)
        for question in generate_questions(scene, generator, 6):
            texts += [question["question"], question["answer"], program_to_text(question["program"])]
        for instruction in generate_instructions(scene, generator, 4, acceptable=lambda _: True):
            texts.append(instruction.instruction)
    return texts


def build_text_tokenizer(config: TokenizersConfig, texts: Iterable[str]) -> TextTokenizer:
    """Return the backbone's tokenizer, or one of our own that was learnt from `texts`."""
    if config.backbone:
        return TextTokenizer.load(backbone_folder(config.backbone) / "tokenizer.json")
    words = [value for category in schema_named(config.schema).categories for value in category.values]
    return TextTokenizer.train(texts, size=config.text_size, whole_words=words)


def build_sequences(config: TokenizersConfig, text: TextTokenizer) -> SequenceTokenizer:
    """Return the sequence tokenizer over a fresh vocabulary."""
    schema = schema_named(config.schema)
    places = count_places(config.images.tokens_per_image, config.codes_per_place)
    vocabulary = Vocabulary(
        text_size=text.size,
        text_digest=text.digest,
        markers=structural_markers(schema, num_places=places),
        numbers=config.numbers,
        num_image_codes=config.images.num_codes,
    )
    return SequenceTokenizer(
        schema,
        vocabulary,
        text,
        codes_per_image=config.images.tokens_per_image,
        codes_per_place=config.codes_per_place,
    )


def build_image_task(
    config: TokenizersConfig,
    images: ImageTokenizer,
    *,
    held_out: PictureBatch | None = None,
    on_start: Callable[[Path], None] | None = None,
) -> ImageTokenizerTask | EyeTask | PainterTask:
    """Return what trains an image tokenizer, or a part of it; its probes go on from those of the run to start from.

    Raises:
        ConfigError: a part is to learn that is not there.
    """
    schema = schema_named(config.schema)
    task: ImageTokenizerTask | EyeTask | PainterTask
    settings = {name: value for name, value in to_json(config).items() if name not in ("data", "trainer")}
    options: dict[str, Any] = {"schema": schema, "held_out": held_out, "on_start": on_start, "settings": settings}
    if config.learns in ("all", "painter"):
        task = (ImageTokenizerTask if config.learns == "all" else PainterTask)(images, config.losses, **options)
    else:
        task = (EyeTask if config.learns == "eye" else CameraTask)(images, **options)
    if config.start:
        known = read_weights(_image_weights(existing_folder(config.start), run_kind(config.start)))
        _take_along(task.model, {name: value for name, value in known.items() if not name.startswith(_IMAGES)})
        parts = {name.removeprefix(_IMAGES).split(".")[0] for name in known}
        if isinstance(task, EyeTask) and "eye_probe" in parts and "eye_sighting" not in parts and images.eye_sighting:
            begin_sighting(images.eye_sighting, task.model.eye_probe)
    return task


def build_decoder(config: KyvoConfig, tokenizers: Tokenizers) -> Decoder:
    """Return a decoder over the tokenizers' vocabulary, as the recipe says.

    Raises:
        ConfigError: a recipe that starts from a backbone names none, or one of other sizes.
    """
    if config.recipe == "scratch":
        decoder = empty_decoder(config, tokenizers)
        decoder.init_from_text_embedding()
    else:
        decoder = _load_backbone(config, tokenizers)
        wanted = _sized(config.decoder, config, tokenizers)
        same = dataclasses.replace(
            decoder.config, embedding_std=wanted.embedding_std, max_positions=wanted.max_positions
        )
        if same.num_text != wanted.num_text:
            raise ConfigError(
                f"tokenizers: their text has {wanted.num_text} ids, but the backbone {config.backbone!r} has "
                f"{same.num_text}; train tokenizers with --backbone {config.backbone}"
            )
        for path, theirs, ours in differences(to_json(same), to_json(wanted)):
            raise ConfigError(
                f"decoder.{path}: is {ours}, but the backbone {config.backbone!r} has {theirs}; set it so"
            )
    decoder.embedding.set_codebook(tokenizers.images.codebook, scale=_run_before(config) is None)
    if config.recipe == "lora":
        _adapt(decoder, config)
    return decoder


def _load_backbone(config: KyvoConfig, tokenizers: Tokenizers) -> Decoder:
    if not config.backbone:
        raise ConfigError(
            f'backbone: recipe {config.recipe!r} starts from one; name "smollm2", a Llama directory or a run'
        )
    run = _run_before(config)
    if run is not None:
        return _load_run(run, config, tokenizers)
    sizes = _span_sizes(tokenizers)
    return load_llama(
        backbone_folder(config.backbone),
        num_markers=sizes["markers"],
        num_numbers=sizes["numbers"],
        num_image_codes=sizes["image"],
        image_code_dim=tokenizers.images.config.code_dim,
        number_encoding=config.decoder.number_encoding,
    )


def _load_run(run: Path, config: KyvoConfig, tokenizers: Tokenizers) -> Decoder:
    """Return a run's decoder, which may have been given pictures in another way than it will be."""
    own = load_tokenizers(run)
    tokenizers.vocabulary.require(own.vocabulary.digest, str(run))
    decoder = load_decoder(run, own)[1]
    sizes = _sized(decoder.config, config, tokenizers)
    if sizes == decoder.config:
        return decoder
    other = Decoder(sizes)
    _take_along(other, decoder.state_dict())
    return other


def sees_already(config: KyvoConfig) -> bool:
    """Return whether the decoder starts from a run that has learned to see."""
    run = _run_before(config)
    return run is not None and bool(read_weights(run / "model.safetensors", prefix="decoder.embedding.seen_projector"))


def begin_probes(config: KyvoConfig, probes: nn.Module) -> None:
    """Let probes go on from those of the run that the decoder starts from, as far as it has them.

    A probe that begins anew bends features that it could not read yet, and some hundred steps of training are lost.
    """
    run = _run_before(config)
    if run is None:
        return
    _take_along(probes, read_probes(run))


def _take_along(module: nn.Module, known: dict[str, Tensor]) -> None:
    """Load what a module has of some weights; the rest stays as it begins."""
    own = module.state_dict()
    same = {name: value for name, value in known.items() if name in own and value.shape == own[name].shape}
    module.load_state_dict(own | same)


def _adapt(decoder: Decoder, config: KyvoConfig) -> None:
    """Freeze the backbone and add adapters to it; what is new to it trains: markers, numbers, projector, head."""
    add_adapters(decoder.layers, rank=config.lora_rank)
    decoder.norm.requires_grad_(False)
    decoder.embedding.text.requires_grad_(False)


def backbone_folder(name: str) -> Path:
    """Return the Hugging Face directory of a backbone: "smollm2", or a path."""
    return smollm2_folder() if name == "smollm2" else existing_folder(name)


def load_tokenizers(run: str | Path, *, device: str = "cpu") -> Tokenizers:
    """Read the tokenizers of a run of either stage.

    Raises:
        CheckpointError: the folder lacks a file or holds one of another kind.
        VocabularyError: its vocabulary does not fit its text tokenizer.
    """
    run = existing_folder(run)
    saved = _read_config(run)
    config = from_json(TokenizersConfig, saved.get("tokenizers"), where=f"{run / 'config.json'}: tokenizers")
    text = TextTokenizer.load(run / "text.json")
    sequences = build_sequences(config, text)
    if Vocabulary.load(run / "vocabulary.json").digest != sequences.vocabulary.digest:
        raise VocabularyError(
            f"{run / 'vocabulary.json'}: does not belong to the text.json and config.json beside it; "
            "put back the files that were written together"
        )
    images = ImageTokenizer(config.images)
    path = _image_weights(run, saved["kind"])
    weights = read_weights(path)
    own = {name.removeprefix(_IMAGES): value for name, value in weights.items() if name.startswith(_IMAGES)}
    copy_tensors(module_tensors(images), own, str(path))
    probes = {name: value for name, value in weights.items() if name.split(".")[0].endswith("_probe")}
    return Tokenizers(config=config, images=images.to(device).eval(), sequences=sequences, probes=probes)


_IMAGES = "tokenizer."
"""What the names of an image tokenizer's weights begin with, beside those of what taught it."""


def _image_weights(run: Path, kind: str) -> Path:
    """Return the file of a run of this kind that holds its image tokenizer."""
    return run / ("images.safetensors" if kind == "kyvo" else "model.safetensors")


def load_decoder(run: str | Path, tokenizers: Tokenizers, *, device: str = "cpu") -> tuple[KyvoConfig, Decoder]:
    """Read the decoder of a run directory.

    Raises:
        CheckpointError: the folder lacks a file or holds no decoder.
        VocabularyError: the decoder was trained with another vocabulary than `tokenizers` have.
    """
    run = existing_folder(run)
    saved = _read_config(run)
    if saved["kind"] != "kyvo":
        raise CheckpointError(f"{run}: holds tokenizers and no decoder; pass the run of a `kyvo-*` preset")
    config = from_json(KyvoConfig, saved.get("kyvo"), where=f"{run / 'config.json'}: kyvo")
    tokenizers.vocabulary.require(Vocabulary.load(run / "vocabulary.json").digest, str(run))
    decoder = empty_decoder(config, tokenizers)
    load_weights(decoder, run / "model.safetensors", prefix="decoder.")
    merge_adapters(decoder.layers)
    return config, decoder.to(device).eval()


_PROBES = "probes."
"""What the names of the weights of a decoder's probes begin with, in its run's file."""


def read_probes(run: str | Path) -> dict[str, Tensor]:
    """Return the weights of the probes that taught the decoder of a run, by name; none where none did."""
    return read_weights(existing_folder(run) / "model.safetensors", prefix=_PROBES)


def load_draft_head(run: str | Path, config: KyvoConfig, tokenizers: Tokenizers) -> DraftHead | None:
    """Read the probe that tells what object a state is about to write; None where it was not trained.

    Raises:
        CheckpointError: it has other sizes than the decoder.
    """
    path = existing_folder(run) / "model.safetensors"
    weights = read_weights(path, prefix=f"{_PROBES}{RECOGNIZED}.")
    if not weights:
        return None
    probe = object_probe(config.decoder.dim, tokenizers.schema)
    copy_tensors(module_tensors(probe), weights, str(path))
    return DraftHead(layer=config.probe_layer, probe=probe)


def _sized(decoder: DecoderConfig, config: KyvoConfig, tokenizers: Tokenizers) -> DecoderConfig:
    """Return a decoder's configuration with what the tokenizers say of it.

    Raises:
        ConfigError: pictures are to be seen, and have no markers of places.
    """
    images, sequences = tokenizers.images.config, tokenizers.sequences
    if not config.loader.reads_codes and not sequences.place_ids:
        raise ConfigError(
            f"loader.code_share: {config.loader.code_share}; pictures are seen at markers of places, which these "
            "tokenizers do not have; set it to 1, or train tokenizers with --codes-per-place 4"
        )
    return with_spans(
        decoder,
        _span_sizes(tokenizers),
        code_dim=images.code_dim,
        seen_dim=0 if config.loader.reads_codes else images.seen_dim,
    )


def _span_sizes(tokenizers: Tokenizers) -> dict[str, int]:
    return {span.name: span.size for span in tokenizers.vocabulary.spans}


def empty_decoder(config: KyvoConfig, tokenizers: Tokenizers) -> Decoder:
    """Return a decoder as the recipe trains it, adapters included, whose weights are drawn and not yet read."""
    decoder = Decoder(_sized(config.decoder, config, tokenizers))
    if config.recipe == "lora":
        _adapt(decoder, config)
    return decoder


def write_tokenizer_files(
    run: Path, tokenizers: Tokenizers, config: KyvoConfig | None = None, *, dtype: torch.dtype | None = None
) -> None:
    """Write what makes a run directory readable: configuration, text tokenizer, vocabulary.

    With the configuration of a decoder, the image tokenizer's weights and its probes' are written too, in `dtype`.
    """
    from trilingua import __version__

    value: dict[str, Any] = {
        "kind": "kyvo" if config else "kyvo-tokenizers",
        "version": __version__,
        "tokenizers": to_json(tokenizers.config),
    }
    if config is not None:
        value["kyvo"] = to_json(config)
        images = {_IMAGES + name: tensor for name, tensor in module_tensors(tokenizers.images).items()}
        save_weights(run / "images.safetensors", {**images, **tokenizers.probes}, dtype=dtype)
    tokenizers.sequences.text.save(run / "text.json")
    tokenizers.vocabulary.save(run / "vocabulary.json")
    write_json(run / "config.json", value)


def write_slim_run(
    run: Path, tokenizers: Tokenizers, config: KyvoConfig, decoder: Decoder, probes: Mapping[str, Tensor]
) -> None:
    """Write a run directory that holds what loading and training further need, in half precision: the form to ship.

    Paths of the training data and of what training began with are left out, and the state of training.

    Args:
        run: the folder; it is made.
        tokenizers: of the run.
        config: of the run.
        decoder: of the run, adapters merged.
        probes: of the run, as `read_probes` returns them; one of them drafts, all teach who trains the run further.
    """
    recipe = "full" if config.recipe == "lora" else config.recipe
    config = dataclasses.replace(config, tokenizers="", data="", backbone="", recipe=recipe)
    first = dataclasses.replace(tokenizers.config, data="", start="", learns="all")
    tokenizers = dataclasses.replace(tokenizers, config=first)
    write_tokenizer_files(run, tokenizers, config, dtype=torch.float16)
    weights = {"decoder." + name: value for name, value in module_tensors(decoder).items()}
    taught_by = {_PROBES + name: value for name, value in probes.items()}
    save_weights(run / "model.safetensors", {**weights, **taught_by}, dtype=torch.float16)


def write_score_map(run: str | Path, score_map: ScoreMap) -> None:
    """Put a score map into the configuration of a run directory; the rest of it stays as it is.

    Raises:
        CheckpointError: the folder is no run of a decoder.
    """
    run = existing_folder(run)
    saved = _read_config(run)
    if "kyvo" not in saved:
        raise CheckpointError(f"{run}: holds tokenizers and no decoder; pass the run of a `kyvo-*` preset")
    saved["kyvo"]["score_map"] = to_json(score_map)
    write_json(run / "config.json", saved)


def _run_before(config: KyvoConfig) -> Path | None:
    """Return the decoder's run that a recipe starts from; None if it starts from a Llama directory, or from nothing."""
    if config.recipe == "scratch":
        return None
    path = Path(config.backbone) / "config.json"
    value = read_json(path) if path.is_file() else None
    return path.parent if isinstance(value, dict) and value.get("kind") == "kyvo" else None


def run_kind(run: str | Path) -> str:
    """Return what a run directory holds: "kyvo" (a decoder with its tokenizers) or "kyvo-tokenizers".

    Raises:
        CheckpointError: the folder is no run.
    """
    return str(_read_config(existing_folder(run))["kind"])


def _read_config(run: Path) -> dict[str, Any]:
    path = run / "config.json"
    if not path.exists():
        raise CheckpointError(f"{run}: holds no config.json; pass the folder of a run of `trilingua train`")
    value = read_json(path)
    if not isinstance(value, dict) or value.get("kind") not in ("kyvo", "kyvo-tokenizers"):
        raise CheckpointError(
            f"{path}: is no configuration of a Kyvo run; pass the folder of a run of `trilingua train`"
        )
    return value
