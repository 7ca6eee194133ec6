"""Configurations and presets of the shape tokenizers."""

import dataclasses
from dataclasses import dataclass, field

from trilingua.core.config import require_at_least
from trilingua.core.errors import ConfigError
from trilingua.core.presets import preset
from trilingua.geometry.mesh_pictures import NUM_FIXED_CAMERAS
from trilingua.quantize.multiscale import MultiScaleConfig
from trilingua.tokenizers.shapes.flexible_planes import FlexibleConfig
from trilingua.tokenizers.shapes.sets import SetConfig
from trilingua.tokenizers.shapes.triplanes import TriplaneConfig
from trilingua.tokenizers.shapes.voxels import VoxelConfig
from trilingua.training.trainer import TrainerConfig


@dataclass(frozen=True, kw_only=True)
class ShapeConfig:
    """A shape tokenizer and its training."""

    data: str = ""
    """Shape data directory to learn from; of structured latents, a folder of their `.npz` files."""
    start: str = ""
    """Run whose weights to begin with: a first stage, which has less (no scales, no heads). Empty: random weights."""
    tokenizer: SetConfig | TriplaneConfig | VoxelConfig = field(default_factory=SetConfig)
    """What is trained."""
    batch_size: int = 8
    """Objects of one batch."""
    num_uniform: int = 1024
    """Places of each object that are drawn from the whole cube. VAT: 20,000."""
    num_near: int = 1024
    """Places near its surface. VAT: 20,000."""
    num_rays: int = 0
    """Rays through pixels of each object's pictures, for tokenizers of views. SAR3D: patches of 130 x 130."""
    held_out: int = 32
    """Objects at the end of the data that only evaluation sees."""
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(max_steps=1000))
    """How it is trained."""

    def __post_init__(self) -> None:
        require_at_least(self, batch_size=1, num_uniform=0, num_near=0, num_rays=0, held_out=0)
        if isinstance(self.tokenizer, TriplaneConfig):
            self._check_views(self.tokenizer)
            return
        if self.num_rays:
            raise ConfigError(f"num_rays: {self.num_rays}; only tokenizers of views learn from rays; leave it out")
        tells_distances = not (isinstance(self.tokenizer, VoxelConfig) and self.tokenizer.features == "latents")
        if tells_distances and not self.num_uniform + self.num_near:
            raise ConfigError("num_uniform, num_near: both are 0; expected places to learn from")

    def _check_views(self, tokenizer: TriplaneConfig) -> None:
        if tokenizer.num_views > NUM_FIXED_CAMERAS:
            raise ConfigError(
                f"num_views: {tokenizer.num_views}; a mesh is seen by {NUM_FIXED_CAMERAS} fixed cameras, so expected "
                "at most as many"
            )
        places = self.num_uniform + self.num_near
        if not self.num_rays and (tokenizer.mesh is not None or not tokenizer.occupancy_weight):
            wanted = (
                "the mesh is compared to where rays end" if tokenizer.mesh else "there is nothing else to learn from"
            )
            raise ConfigError(f"num_rays: 0; {wanted}, so expected at least 1")
        if not places and (tokenizer.mesh is not None or tokenizer.occupancy_weight):
            raise ConfigError("num_uniform, num_near: both are 0; expected places to learn from")


def _few_hours(max_steps: int, *, learning_rate: float = 1e-3) -> TrainerConfig:
    """Return how the small presets are trained on two cores."""
    return TrainerConfig(
        max_steps=max_steps,
        learning_rate=learning_rate,
        warmup_steps=60,
        schedule="wsd",
        optimizer="muon",
        weight_decay=0.01,
        ema_decay=0.99,
        eval_every_steps=1000,
        save_every_seconds=300.0,
    )


_SECONDS = TrainerConfig(
    max_steps=20, learning_rate=1e-2, warmup_steps=2, log_every_steps=1, eval_every_steps=10, num_threads=1
)

_TINY_SET = SetConfig(
    num_points=128,
    num_queries=16,
    num_latents=16,
    dim=64,
    encoder_layers=1,
    decoder_layers=1,
    num_frequencies=4,
    plane_side=4,
    patch_size=4,
    plane_channels=8,
    num_mips=2,
    reader_dim=32,
    scales=(1, 4, 16),
    codes=MultiScaleConfig(num_codes=64, code_dim=8),
    surface_width=1 / 16,
)

_SMALL_SET = SetConfig(codes=MultiScaleConfig(num_codes=4096, code_dim=16), surface_width=1 / 64)

_PAPER_SET = SetConfig(
    num_points=80_000,
    num_queries=3072,
    num_latents=1024,
    dim=768,
    encoder_layers=12,
    decoder_layers=12,
    placed=False,
    plane_side=32,
    patch_size=8,
    plane_channels=32,
    reader_dim=256,
    scales=(1, 4, 9, 16, 25, 36, 64, 100, 169, 196, 576, 1024),
    codes=MultiScaleConfig(num_codes=16_384, code_dim=16),
)

_PAPER_TRAINER = TrainerConfig(
    max_steps=100_000,
    learning_rate=1e-4,
    min_learning_rate_ratio=0.0,
    warmup_steps=1000,
    betas=(0.9, 0.99),
    weight_decay=0.0,
    ema_decay=0.99,
)


@preset("shape-set-tiny")
def shape_set_tiny() -> ShapeConfig:
    """Seconds on two cores: VAT's tokenizer at the size that tests use; its shapes are blobs."""
    return ShapeConfig(tokenizer=_TINY_SET, batch_size=4, num_uniform=128, num_near=128, held_out=2, trainer=_SECONDS)


@preset("shape-set-start")
def shape_set_start() -> ShapeConfig:
    """Two cores, half an hour: the first stage of `shape-set`, whose latents are not quantized."""
    return dataclasses.replace(
        shape_set(),
        tokenizer=dataclasses.replace(_SMALL_SET, scales=()),
        trainer=dataclasses.replace(_few_hours(1000, learning_rate=2e-3), decay_ratio=0.0),
    )


@preset("shape-set")
def shape_set() -> ShapeConfig:
    """Two cores, an hour: VAT's tokenizer, 511 ids of 4,096 at nine scales (767 bytes), after `shape-set-start`."""
    return ShapeConfig(tokenizer=_SMALL_SET, trainer=_few_hours(1250, learning_rate=2e-3))


@preset("shape-set-paper")
def shape_set_paper() -> ShapeConfig:
    """Eight 80 GB GPUs, days: VAT's published sizes, 2,220 ids of 16,384; begin with 200,000 steps without scales."""
    return ShapeConfig(tokenizer=_PAPER_SET, batch_size=32, num_uniform=20_000, num_near=20_000, trainer=_PAPER_TRAINER)


@preset("shape-latents-tiny")
def shape_latents_tiny() -> ShapeConfig:
    """Seconds on two cores: CG-MLLM's set autoencoder at the size that tests use; any number of latents."""
    tokenizer = dataclasses.replace(
        _TINY_SET,
        compression="points",
        decoding="points",
        scales=(),
        other_counts=(4, 8),
        codes=MultiScaleConfig(code_dim=8),
    )
    return dataclasses.replace(shape_set_tiny(), tokenizer=tokenizer)


@preset("shape-latents")
def shape_latents() -> ShapeConfig:
    """One core, half an hour: CG-MLLM's set autoencoder, 64 latents of 16 numbers or 16, 32, 128 of them."""
    tokenizer = dataclasses.replace(
        _SMALL_SET,
        num_latents=64,
        compression="points",
        scales=(),
        other_counts=(16, 32, 128),
        codes=MultiScaleConfig(code_dim=16),
    )
    return ShapeConfig(tokenizer=tokenizer, trainer=_few_hours(1500, learning_rate=2e-3))


@preset("shape-latents-paper")
def shape_latents_paper() -> ShapeConfig:
    """GPUs, days: the sizes of Hunyuan3D-2.1's autoencoder, whose 512 to 4,096 latents of 64 numbers CG-MLLM writes."""
    tokenizer = SetConfig(
        num_points=81_920,
        num_latents=4096,
        other_counts=(512, 1024, 2048),
        dim=1024,
        encoder_layers=8,
        decoder_layers=16,
        compression="points",
        placed=False,
        decoding="points",
        scales=(),
        codes=MultiScaleConfig(code_dim=64),
    )
    return ShapeConfig(tokenizer=tokenizer, batch_size=32, num_uniform=20_000, num_near=20_000, trainer=_PAPER_TRAINER)


_TINY_TRIPLANE = TriplaneConfig(
    view_size=16,
    patch_size=4,
    dim=64,
    view_layers=1,
    plane_layers=1,
    decoder_layers=2,
    num_frequencies=2,
    side=4,
    scales=(1, 2, 4),
    codes=MultiScaleConfig(num_codes=64, code_dim=8),
    plane_patch_size=4,
    plane_channels=8,
    num_mips=2,
    reader_dim=32,
    num_even=8,
    num_important=8,
    surface_width=1 / 16,
)

_TINY_VOXELS = VoxelConfig(
    resolution=16,
    patch_size=2,
    widths=(16, 64),
    attention_layers=1,
    num_codes=64,
    code_dim=8,
    picture_size=8,
    num_samples=12,
    surface_width=1 / 16,
)


@preset("shape-triplane-tiny")
def shape_triplane_tiny() -> ShapeConfig:
    """Seconds on two cores: SAR3D's tokenizer at the size that tests use; its shapes are blobs."""
    return ShapeConfig(
        tokenizer=_TINY_TRIPLANE,
        batch_size=4,
        num_uniform=128,
        num_near=128,
        num_rays=32,
        held_out=2,
        trainer=_SECONDS,
    )


@preset("shape-triplane-start")
def shape_triplane_start() -> ShapeConfig:
    """One core, twenty minutes: the first stage of `shape-triplane`, whose latents are not quantized."""
    return dataclasses.replace(
        shape_triplane(),
        tokenizer=TriplaneConfig(scales=()),
        trainer=dataclasses.replace(_few_hours(700, learning_rate=2e-3), decay_ratio=0.0),
    )


@preset("shape-triplane")
def shape_triplane() -> ShapeConfig:
    """One core, a quarter of an hour: SAR3D's tokenizer, 390 ids of 4,096 at six scales, after its first stage."""
    return ShapeConfig(tokenizer=TriplaneConfig(), num_rays=96, trainer=_few_hours(500, learning_rate=2e-3))


@preset("shape-triplane-mesh")
def shape_triplane_mesh() -> ShapeConfig:
    """Two cores, an hour: the decoder of `shape-triplane`, trained by the mesh that FlexiCubes makes of it."""
    return dataclasses.replace(
        shape_triplane(),
        tokenizer=TriplaneConfig(mesh=FlexibleConfig()),
        trainer=_few_hours(1000, learning_rate=2e-4),
    )


@preset("shape-triplane-paper")
def shape_triplane_paper() -> ShapeConfig:
    """Seven 80 GB GPUs, days: SAR3D's published sizes, 2,040 ids of 16,384, learnt from pictures alone."""
    tokenizer = TriplaneConfig(
        view_size=256,
        patch_size=16,
        dim=768,
        view_layers=6,
        placed=False,
        plane_layers=6,
        decoder_layers=12,
        side=16,
        scales=(1, 2, 3, 4, 5, 6, 8, 10, 13, 16),
        codes=MultiScaleConfig(num_codes=16_384, code_dim=8),
        plane_patch_size=8,
        plane_channels=32,
        num_mips=1,
        reader_dim=64,
        num_even=80,
        num_important=80,
        occupancy_weight=0.0,
    )
    trainer = dataclasses.replace(_PAPER_TRAINER, weight_decay=0.05)
    return ShapeConfig(tokenizer=tokenizer, batch_size=28, num_uniform=0, num_near=0, num_rays=130**2, trainer=trainer)


@preset("shape-voxels-tiny")
def shape_voxels_tiny() -> ShapeConfig:
    """Seconds on two cores: Kyvo's voxel tokenizer at the size that tests use, on grids of 16 x 16 x 16 cells."""
    return ShapeConfig(
        tokenizer=_TINY_VOXELS, batch_size=4, num_uniform=128, num_near=128, held_out=2, trainer=_SECONDS
    )


@preset("shape-voxels")
def shape_voxels() -> ShapeConfig:
    """One core, forty minutes: Kyvo's voxel tokenizer on surface voxels, 512 ids of 8,192 (832 bytes)."""
    return ShapeConfig(tokenizer=VoxelConfig(), held_out=16, trainer=_few_hours(1000, learning_rate=2e-3))


@preset("shape-voxels-paper")
def shape_voxels_paper() -> ShapeConfig:
    """GPUs, days: Kyvo's published sizes on structured latents of TRELLIS, 512 ids of 8,192; widths are our guess."""
    tokenizer = VoxelConfig(
        features="latents",
        patch_size=1,
        widths=(32, 64, 128, 512),
        num_blocks=2,
        attention_layers=0,
        code_dim=128,
        num_pictured=32,
        picture_size=128,
        num_samples=128,
    )
    trainer = dataclasses.replace(_PAPER_TRAINER, schedule="constant", warmup_steps=0)
    return ShapeConfig(tokenizer=tokenizer, batch_size=32, num_uniform=0, num_near=0, trainer=trainer)
