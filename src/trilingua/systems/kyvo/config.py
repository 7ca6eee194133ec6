"""Kyvo's configurations and presets: the tokenizers' stage, then the decoder's."""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from trilingua.core.config import require_at_least
from trilingua.core.errors import ConfigError
from trilingua.core.presets import preset
from trilingua.data.augment import AugmentConfig
from trilingua.data.loaders import LoaderConfig
from trilingua.metrics.calibration import ScoreMap
from trilingua.models.decoder import DecoderConfig
from trilingua.nn.rope import Llama3Scaling
from trilingua.scenes.schema import CLEVR, Schema
from trilingua.systems.kyvo.image_task import ImageLossConfig
from trilingua.tokenizers.images import ImageTokenizerConfig
from trilingua.tokenizers.numbers import NumberGrid
from trilingua.training.trainer import TrainerConfig

SCHEMAS: dict[str, Schema] = {schema.name: schema for schema in (CLEVR,)}
"""Every data set whose scenes Kyvo reads and writes."""


def schema_named(name: str) -> Schema:
    """Return the schema of a data set.

    Raises:
        ConfigError: no such data set; lists the names.
    """
    if name not in SCHEMAS:
        raise ConfigError(f"schema: {name!r} is unknown; choose one of {', '.join(SCHEMAS)}")
    return SCHEMAS[name]


@dataclass(frozen=True, kw_only=True)
class TokenizersConfig:
    """The first stage: a text tokenizer, a vocabulary and an image tokenizer, in one run directory."""

    data: str = ""
    """CLEVR data directory to learn from."""
    split: str = ""
    """Which split of it, where it holds several, as CLEVR's own does."""
    schema: str = "clevr"
    """Which data set's objects."""
    text_size: int = 1024
    """Ids of the text tokenizer that is trained on the task's texts; unused with a backbone."""
    backbone: str = ""
    """Whose text tokenizer to take: empty for our own, "smollm2", or a Llama directory."""
    start: str = ""
    """Run of either stage whose text and image tokenizers to go on from; empty for new ones."""
    learns: Literal["all", "painter", "eye", "camera"] = "all"
    """All of the image tokenizer; or, while codes stay as they are, what paints from them alone, its eye alone, or only
    what tells the eye where the camera stands."""
    numbers: NumberGrid = field(default_factory=NumberGrid)
    """Which numbers have an id each."""
    codes_per_place: int = 4
    """A marker of the place stands before every so many codes of a picture; 0 for none, as published."""
    images: ImageTokenizerConfig = field(default_factory=ImageTokenizerConfig)
    """Sizes of the image tokenizer."""
    losses: ImageLossConfig = field(default_factory=ImageLossConfig)
    """What the image tokenizer is trained to do."""
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    """How pictures are changed before they are seen; what is painted is what they were."""
    batch_size: int = 32
    """Pictures of one batch."""
    held_out: int = 64
    """Pictures at the end of the data that only evaluation sees."""
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(max_steps=1000))
    """How the image tokenizer is trained."""

    def __post_init__(self) -> None:
        schema_named(self.schema)
        require_at_least(self, text_size=256, codes_per_place=0, batch_size=1, held_out=0)


LOSS_WEIGHTS = (
    "probe_weight",
    "drawn_probe_weight",
    "object_probe_weight",
    "recognized_probe_weight",
    "guidance_weight",
)
"""Fields of a configuration that weigh a loss of the decoder's training beside that over tokens; 0 leaves it out."""


@dataclass(frozen=True, kw_only=True)
class KyvoConfig:
    """The second stage: the decoder over the unified vocabulary."""

    tokenizers: str = ""
    """Run directory of the first stage."""
    data: str = ""
    """Folder of shards that were tokenized with that run."""
    decoder: DecoderConfig = field(default_factory=lambda: DecoderConfig(num_text=1))
    """Sizes. The counts of the spans come from the vocabulary; `num_text` says beforehand what a backbone has."""
    recipe: Literal["scratch", "full", "lora"] = "scratch"
    """From random weights; from a backbone, all of it; or a backbone's adapters with everything new."""
    backbone: str = ""
    """Weights to start from: "smollm2", a Llama directory, or the run of a decoder over the same vocabulary."""
    lora_rank: int = 8
    """Rank of the adapters of recipe "lora"."""
    number_sigma: float = 1.0
    """Width of the soft target over neighbouring numbers, in bins; 0 for one-hot targets."""
    probe_weight: float = 0.5
    """Weight of the probe that asks the decoder's states what each cell of a given picture shows."""
    drawn_probe_weight: float = 0.2
    """Weight of the probe that asks what each cell of a picture will show whose code is about to be written."""
    object_probe_weight: float = 0.5
    """Weight of the probe that asks the state closing an object of a given scene what and where the object is."""
    recognized_probe_weight: float = 0.5
    """Weight of the probe that asks, one layer later than the others, the states about to write an object of a
    recognized scene what and where the object is."""
    probe_layer: int = 3
    """The layer after which the probes ask, from 1; the layers above read what they taught."""
    guidance_weight: float = 1.0
    """Weight of the loss that tells the first head of the layer after `probe_layer` where to look: from each step of a
    program at the objects that it gives, from each object of an edited scene at the given one if it is changed, from
    each object of a recognized scene at the cells of the picture that show it."""
    held_out: int = 64
    """Scenes at the end of the shards that only evaluation sees."""
    score_map: ScoreMap = field(default_factory=ScoreMap)
    """From the probability of an object's tokens to its score; `trilingua calibrate` finds it for a trained run."""
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    """Which tasks are trained and how their sequences are packed."""
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(max_steps=1000))
    """How the decoder is trained."""

    def __post_init__(self) -> None:
        require_at_least(self, **dict.fromkeys(LOSS_WEIGHTS, 0), number_sigma=0, held_out=0)


@preset("kyvo-clevr-tokenizers")
def kyvo_clevr_tokenizers() -> TokenizersConfig:
    """Two cores, an hour: the shipped text and image tokenizers (256 codes of 1,024 a picture)."""
    return TokenizersConfig(
        images=ImageTokenizerConfig(decoder_layers=6, eye_layers=3, eye_window_width=64),
        losses=ImageLossConfig(structural=0.6, commitment=0.05, latent_probe=0.4, feature_probe=0.2, costly_images=8),
        augmentation=AugmentConfig(share=0.6),
        trainer=TrainerConfig(
            max_steps=2500,
            learning_rate=1.5e-3,
            warmup_steps=100,
            schedule="wsd",
            optimizer="muon",
            weight_decay=0.01,
            ema_decay=0.0,
            eval_every_steps=250,
            save_every_seconds=300.0,
            compile=True,
        ),
    )


@preset("kyvo-clevr-painter")
def kyvo_clevr_painter() -> TokenizersConfig:
    """Two cores, half an hour: what paints from the codes of `--start`, alone, so that its eye sees no difference."""
    tokenizers = kyvo_clevr_tokenizers()
    trainer = dataclasses.replace(
        tokenizers.trainer, max_steps=2000, learning_rate=1e-3, warmup_steps=50, decay_ratio=0.7, ema_decay=0.99
    )
    return dataclasses.replace(
        tokenizers,
        learns="painter",
        losses=dataclasses.replace(tokenizers.losses, seen=1.0, costly_images=16),
        images=_sighting(tokenizers).images,
        augmentation=AugmentConfig(),
        trainer=trainer,
    )


@preset("kyvo-clevr-eye")
def kyvo_clevr_eye() -> TokenizersConfig:
    """Two cores, half an hour: the eye of the shipped image tokenizer alone, behind the codes of `--start`."""
    tokenizers = kyvo_clevr_tokenizers()
    # Places get better as the rate falls, and at the full rate hardly at all.
    trainer = dataclasses.replace(
        tokenizers.trainer, max_steps=2000, warmup_steps=30, decay_ratio=0.95, min_learning_rate_ratio=0.02
    )
    return dataclasses.replace(_sighting(tokenizers), learns="eye", trainer=trainer)


@preset("kyvo-clevr-camera")
def kyvo_clevr_camera() -> TokenizersConfig:
    """Two cores, half an hour: what tells the eye of `--start` where the camera stands."""
    tokenizers = kyvo_clevr_tokenizers()
    trainer = dataclasses.replace(
        tokenizers.trainer,
        max_steps=6000,
        learning_rate=2e-3,
        warmup_steps=50,
        decay_ratio=0.95,
        min_learning_rate_ratio=0.0,
        optimizer="adamw",
        weight_decay=0.0,
        eval_every_steps=1000,
        compile=False,
    )
    return dataclasses.replace(_sighting(tokenizers), learns="camera", batch_size=64, trainer=trainer)


def _sighting(tokenizers: TokenizersConfig) -> TokenizersConfig:
    """Return the same with sighting, which needs whole pictures."""
    return dataclasses.replace(
        tokenizers,
        images=dataclasses.replace(tokenizers.images, eye_light_modes=40),
        augmentation=dataclasses.replace(tokenizers.augmentation, share=0.4, crop=0.0),
    )


@preset("kyvo-clevr")
def kyvo_clevr() -> KyvoConfig:
    """Two cores, three hours: the shipped decoder, one model for all tasks."""
    return KyvoConfig(
        decoder=DecoderConfig(
            num_text=1, dim=256, num_layers=6, num_heads=4, num_kv_heads=4, head_dim=64, hidden_dim=768
        ),
        probe_weight=1.0,
        probe_layer=4,
        # Seeing needs pictures; editing and answering need scenes, of which three fit where a picture is left out. A
        # drawn picture has 256 tokens to an answer's three, so that weights by token must differ for answers to count.
        loader=LoaderConfig(
            mix={"recognition": 1.0, "rendering": 0.4, "editing": 0.1, "qa": 0.2},
            blind_share=0.45,
            blind_mix={"rendering": 0.0, "editing": 3.0, "qa": 8.0},
            code_share=0.1,
            segment_weights={"image": 0.25, "program": 3.0, "reference": 3.0, "answer": 8.0},
            changed_weight=8.0,
            edited_image_share=1.0,
            row_length=4096,
            rows_per_batch=1,
        ),
        trainer=TrainerConfig(
            max_steps=9000,
            learning_rate=1.5e-3,
            warmup_steps=100,
            schedule="wsd",
            optimizer="muon",
            weight_decay=0.01,
            ema_decay=0.998,
            eval_every_steps=1000,
            save_every_seconds=300.0,
        ),
    )


@preset("kyvo-tiny-tokenizers")
def kyvo_tiny_tokenizers() -> TokenizersConfig:
    """Seconds on two cores: the first stage at the size that tests use."""
    return TokenizersConfig(
        text_size=512,
        images=ImageTokenizerConfig(
            image_size=64,
            patch_size=16,
            patch_overlap=2,
            num_codes=64,
            code_dim=16,
            dim=64,
            encoder_layers=1,
            decoder_layers=1,
        ),
        batch_size=4,
        held_out=2,
        trainer=TrainerConfig(max_steps=20, warmup_steps=2, eval_every_steps=10),
    )


@preset("kyvo-tiny")
def kyvo_tiny() -> KyvoConfig:
    """Seconds on two cores: every part at the size that tests use; its scenes are valid, not right."""
    return KyvoConfig(
        decoder=DecoderConfig(
            num_text=1, dim=64, num_layers=2, num_heads=1, num_kv_heads=1, head_dim=64, hidden_dim=128
        ),
        probe_layer=1,
        held_out=2,
        loader=LoaderConfig(row_length=1024, rows_per_batch=2),
        trainer=TrainerConfig(max_steps=20, warmup_steps=2, eval_every_steps=10),
    )


@preset("kyvo-smollm2")
def kyvo_smollm2() -> KyvoConfig:
    """GPU, hours: SmolLM2-135M-Instruct as the backbone, all of it trained."""
    return KyvoConfig(
        decoder=DecoderConfig(
            num_text=49_152,
            dim=576,
            num_layers=30,
            num_heads=9,
            num_kv_heads=3,
            head_dim=64,
            hidden_dim=1536,
            rope_theta=100_000.0,
            max_positions=8192,
        ),
        recipe="full",
        backbone="smollm2",
        probe_layer=15,
        trainer=TrainerConfig(max_steps=20_000, learning_rate=1e-3, schedule="cosine", warmup_steps=500),
    )


@preset("kyvo-paper")
def kyvo_paper() -> KyvoConfig:
    """Eight 80 GB GPUs, a day: the paper's sizes on Llama-3.2-1B-Instruct; set `backbone` to its directory."""
    return KyvoConfig(
        decoder=DecoderConfig(
            num_text=128_256,
            dim=2048,
            num_layers=16,
            num_heads=32,
            num_kv_heads=8,
            head_dim=64,
            hidden_dim=8192,
            rope_theta=500_000.0,
            rope_scaling=Llama3Scaling(factor=32.0),
            max_positions=131_072,
        ),
        recipe="full",
        number_sigma=0.0,
        probe_weight=0.0,
        drawn_probe_weight=0.0,
        object_probe_weight=0.0,
        recognized_probe_weight=0.0,
        probe_layer=8,
        guidance_weight=0.0,
        trainer=TrainerConfig(
            max_steps=37_500,
            learning_rate=1e-4,
            min_learning_rate_ratio=0.0,
            warmup_steps=0,
            schedule="cosine",
            weight_decay=0.01,
            betas=(0.9, 0.999),
            gradient_clip=0.0,
        ),
    )


def with_spans(decoder: DecoderConfig, spans: dict[str, int], *, code_dim: int, seen_dim: int) -> DecoderConfig:
    """Return the decoder's configuration with the counts of a vocabulary's spans, and the widths of its pictures.

    Args:
        decoder: sizes; its own counts are passed over.
        spans: number of ids of each span, by name.
        code_dim: width of an image code's vector.
        seen_dim: width of what is seen of a cell; 0 if pictures are not seen.
    """
    return dataclasses.replace(
        decoder,
        num_text=spans["text"],
        num_markers=spans["markers"],
        num_numbers=spans["numbers"],
        num_image_codes=spans["image"],
        image_code_dim=code_dim,
        seen_dim=seen_dim,
    )
