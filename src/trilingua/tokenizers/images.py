"""Pictures to codes and back: a vector-quantized autoencoder of 16 x 16 cells.

256 x 256 pixels become 256 codes of 1,024, one for each cell of 16 x 16 pixels, in raster order. Both
halves are patch transformers: a CPU multiplies matrices in bfloat16 three to four times faster than it
convolves, and every cell sees the whole picture, so that a code can tell of an object's place and not
only of its own pixels. The decoder paints overlapping patches, which leaves no edges between cells.

A language model that is given a picture need not read what was rounded. A tokenizer may have an eye: a third
transformer, which puts together what lies apart in the latents, and is only asked what stands where. It may look at
the pixels too, in windows smaller than a cell: what is hidden in part shares its cells with what hides it. And it may
find the places of objects by sighting (`sighting.py`), from where their centres fall in the picture.

Source: Esser et al. 2021 (VQGAN), section 3.1; Kyvo, appendix D.1 (sizes).
Differs: the published tokenizer is a convolutional VQGAN fine-tuned from ImageNet weights.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from trilingua.core.config import differences, require_at_least, to_json
from trilingua.core.errors import ConfigError
from trilingua.nn.digests import digest_weights
from trilingua.nn.patches import HEAD_DIM, PatchTransformer, PatchWindows, images_to_patches
from trilingua.quantize.vq import Quantized, VectorQuantizer
from trilingua.tokenizers.sighting import Sighting

_AT_ONCE = 4
"""Pictures that are encoded together: what so many need fits a CPU's caches, and 16 take a quarter longer each."""


@dataclass(frozen=True, kw_only=True)
class ImageTokenizerConfig:
    """Sizes of an image tokenizer."""

    image_size: int = 256
    """Height and width in pixels to which every picture is squashed."""
    patch_size: int = 16
    """Height and width in pixels of the cell that one code stands for."""
    patch_overlap: int = 4
    """Pixels by which a painted patch reaches over each edge of its cell."""
    num_codes: int = 1024
    """Size of the codebook, at most 65,536. Source: Kyvo, appendix D.1."""
    code_dim: int = 64
    """Width of a code vector. Kyvo: 256."""
    dim: int = 192
    """Width of both transformers, a multiple of 64."""
    encoder_layers: int = 5
    """Transformer layers from pixels to codes."""
    decoder_layers: int = 3
    """Transformer layers from codes to pixels."""
    eye_layers: int = 0
    """Transformer layers of the eye, from latents to what a language model is given of a picture; 0 for no eye: it is
    given the latents. Kyvo: neither, its language model reads codes."""
    eye_window_width: int = 0
    """Numbers that the eye is given of each of the 4 x 4 windows of a cell, beside its latent; 0 for latents alone."""
    eye_light_modes: int = 0
    """Ways in which the ground's light varies, by which the eye tells where the camera stands and then finds places by
    sighting; 0 for places that it tells by itself."""
    focal_length: float = 35 / 32
    """Of the camera, in widths of its picture; sighting needs it. Source: CLEVR generator, `base_scene.blend`."""
    aspect: float = 4 / 3
    """Width over height of pictures before they are squashed; sighting needs it."""

    def __post_init__(self) -> None:
        require_at_least(self, image_size=1, patch_size=1, patch_overlap=0, num_codes=1, code_dim=1, dim=1)
        require_at_least(self, encoder_layers=1, decoder_layers=1, eye_layers=0, eye_window_width=0, eye_light_modes=0)
        for name in ("focal_length", "aspect"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: {getattr(self, name)}; expected more than 0")
        if self.image_size % self.patch_size:
            raise ConfigError(f"image_size: {self.image_size}; expected a multiple of patch_size {self.patch_size}")
        for name in ("eye_window_width", "eye_light_modes"):
            if getattr(self, name) and not self.eye_layers:
                raise ConfigError(
                    f"{name}: {getattr(self, name)}, but eye_layers is 0; give the eye layers, or set it to 0"
                )
        if self.eye_window_width and self.patch_size % 8:
            raise ConfigError(f"patch_size: {self.patch_size}; expected a multiple of 8, since the eye has windows")
        if self.eye_light_modes and self.patch_size % 2:
            raise ConfigError(f"patch_size: {self.patch_size}; expected a multiple of 2, since the eye reads shading")
        if self.num_codes > 2**16:
            raise ConfigError(f"num_codes: {self.num_codes}; expected at most {2**16}, since shards store 16 bits")
        if self.dim % HEAD_DIM:
            raise ConfigError(f"dim: {self.dim}; expected a multiple of {HEAD_DIM}, the width of a head")

    @property
    def grid_size(self) -> int:
        """Cells along one side of the picture."""
        return self.image_size // self.patch_size

    @property
    def seen_dim(self) -> int:
        """Width of what `see` gives of a cell."""
        return self.dim if self.eye_layers else self.code_dim

    @property
    def tokens_per_image(self) -> int:
        """How many codes one picture has."""
        return self.grid_size**2


class Reconstruction(NamedTuple):
    """What the autoencoder makes of a batch in training."""

    images: Float[Tensor, "batch 3 height width"]
    """Not clipped."""
    quantized: Quantized
    latents: Float[Tensor, "batch code code_dim"]
    """Each cell's unit vector before it was quantized."""
    features: Float[Tensor, "batch code dim"]
    """The decoder's last features of each cell."""
    seen: Float[Tensor, "batch code dim"] | None
    """What the eye makes of the latents, before sighting; None without an eye."""


class Looked(NamedTuple):
    """What looking at a batch of pictures brings."""

    vectors: Float[Tensor, "batch code seen_dim"]
    """Of each cell what a language model is given: what the eye makes of the latents, or these."""
    shown: Float[Tensor, "batch code"]
    """The probability that the cell shows an object; without an eye 1."""
    places: Float[Tensor, "batch code 2"]
    """Where what it shows stands, by sighting: x and y in metres; NaN without."""
    cameras: Float[Tensor, "batch 3"]
    """Where the camera of each picture stands, by its shading, in metres; NaN without sighting."""


class SeenImages(NamedTuple):
    """What is seen in a batch of pictures."""

    vectors: Float[Tensor, "batch code seen_dim"]
    """Of each cell what a language model is given: what the eye makes of the latents, or these."""
    shown: Bool[Tensor, "batch code"]
    """Whether the eye thinks that the cell may show an object; without an eye all of them may."""
    codes: Int[Tensor, "batch code"]
    """The code nearest to each cell's latent, in raster order, each in [0, num_codes)."""
    places: Float[Tensor, "batch code 2"]
    """Where the object that each cell shows stands, by sighting: x and y in metres; NaN where that is not known."""
    cameras: Float[Tensor, "batch 3"]
    """As in `Looked`."""


class ImageTokenizer(nn.Module):
    """The autoencoder. Pictures are squares of `image_size` pixels, floats in [0, 1]."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        size = config.patch_size
        self.encoder = PatchTransformer(3 * size * size, config.tokens_per_image, config.dim, config.encoder_layers)
        self.to_code = nn.Linear(config.dim, config.code_dim)
        # Standardised over the batch, latents spread over the sphere from the first step; without, they share one
        # large component, and a handful of codes takes all cells.
        self.spread = nn.BatchNorm1d(config.code_dim, affine=False)
        self.quantizer = VectorQuantizer(config.num_codes, config.code_dim)
        self.decoder = PatchTransformer(config.code_dim, config.tokens_per_image, config.dim, config.decoder_layers)
        painted = size + 2 * config.patch_overlap
        self.to_pixels = nn.Linear(config.dim, 3 * painted * painted)
        self.eye: PatchTransformer | None = None
        self.eye_shows: nn.Linear | None = None
        self.eye_windows: PatchWindows | None = None
        self.eye_sighting: Sighting | None = None
        if config.eye_layers:
            self.eye = PatchTransformer(config.code_dim, config.tokens_per_image, config.dim, config.eye_layers)
            self.eye_shows = nn.Linear(config.dim, 1)
        if config.eye_window_width:
            self.eye_windows = PatchWindows(size, config.eye_window_width, config.dim)
        if config.eye_light_modes:
            self.eye_sighting = Sighting(
                config.dim,
                config.grid_size,
                config.eye_light_modes,
                focal_length=config.focal_length,
                aspect=config.aspect,
            )

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Reconstruction:
        """Encode, quantize and decode; in training mode the codebook follows."""
        latents = self.encode(images)
        quantized = self.quantizer(latents)
        pixels, features = self.decode(quantized.vectors)
        seen = None if self.eye is None else self.glance(images, latents)
        return Reconstruction(pixels, quantized, latents, features, seen)

    def encode(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch code code_dim"]:
        """Return one latent unit vector for each cell: what its code is the nearest to."""
        patches = images_to_patches(images * 2 - 1, self.config.patch_size)
        spread = self.spread(self.to_code(self.encoder(patches)).float().transpose(1, 2)).transpose(1, 2)
        return F.normalize(spread, dim=-1)

    def glance(
        self, images: Float[Tensor, "batch 3 height width"], latents: Float[Tensor, "batch code code_dim"]
    ) -> Float[Tensor, "batch code dim"]:
        """Return what the eye, which there is, makes of each cell by itself."""
        assert self.eye is not None, "who glances has an eye"
        seen: Tensor = self.eye(latents, None if self.eye_windows is None else self.eye_windows(images * 2 - 1))
        return seen

    def look(
        self,
        images: Float[Tensor, "batch 3 height width"],
        latents: Float[Tensor, "batch code code_dim"],
        cameras: Float[Tensor, "#batch 3"] | None = None,
    ) -> Looked:
        """Return of each cell what a language model is given, whether it shows an object, and where that stands."""
        if self.eye is None:
            return _without_sighting(latents, torch.ones_like(latents[..., 0]))
        return self.consider(self.glance(images, latents), images, cameras)

    def consider(
        self,
        seen: Float[Tensor, "batch code dim"],
        images: Float[Tensor, "batch 3 height width"],
        cameras: Float[Tensor, "#batch 3"] | None = None,
    ) -> Looked:
        """Return what becomes of what `glance` gives: it is told what stands where, by sighting if there is any."""
        assert self.eye_shows is not None, "who glances has an eye"
        shown = self.eye_shows(seen)[..., 0].sigmoid()
        if self.eye_sighting is None:
            return _without_sighting(seen, shown)
        found = self.eye_sighting(seen, shown, images, cameras)
        return Looked(found.vectors, shown, found.places, found.cameras)

    def decode(
        self, vectors: Float[Tensor, "batch code code_dim"]
    ) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch code dim"]]:
        """Return pictures (not clipped) and the last features of each cell."""
        features = self.decoder(vectors)
        config = self.config
        pixels = F.fold(
            self.to_pixels(features).float().transpose(1, 2),
            output_size=(config.image_size, config.image_size),
            kernel_size=config.patch_size + 2 * config.patch_overlap,
            stride=config.patch_size,
            padding=config.patch_overlap,
        )
        return pixels * 0.5 + 0.5, features

    @torch.inference_mode()
    def see(
        self, images: Float[Tensor, "batch 3 height width"], cameras: Float[Tensor, "#batch 3"] | None = None
    ) -> SeenImages:
        """Return the vectors and the codes of pictures; the module is in evaluation mode.

        Args:
            images: the pictures.
            cameras: where each camera stands, in metres, if that is known.
        """
        latents = self.encode(images)
        vectors, shown, places, cameras = self.look(images, latents, cameras)
        known = places.where(shown[..., None] > _SHOWS, torch.nan)
        return SeenImages(vectors, shown > _MAY_SHOW, self.quantizer.codes(latents), known, cameras)

    def see_pictures(
        self, pictures: Iterable[Image.Image], *, camera: Sequence[float] | None = None, batch_size: int = _AT_ONCE
    ) -> SeenImages:
        """Return what is seen in RGB pictures of any size, which are squashed and read in batches; on the CPU.

        Args:
            pictures: at least one; taken as they are read, since thousands at once would not fit into memory.
            camera: where the camera of all of them stands, in metres, if that is known.
            batch_size: how many are looked at together.
        """
        cameras = None if camera is None else torch.tensor([camera], device=self.codebook.device)
        seen = [self.see(batch, cameras) for batch in self._batches(pictures, batch_size)]
        return SeenImages(*(torch.cat(parts).cpu() for parts in zip(*seen, strict=True)))

    @torch.inference_mode()
    def tokenize(self, images: Float[Tensor, "batch 3 height width"]) -> Int[Tensor, "batch code"]:
        """Return the codes of pictures in raster order, each in [0, num_codes); the module is in evaluation mode."""
        return self.quantizer.codes(self.encode(images))

    def tokenize_pictures(
        self, pictures: Iterable[Image.Image], *, batch_size: int = _AT_ONCE
    ) -> Int[Tensor, "batch code"]:
        """Return the codes of RGB pictures of any size, as `see_pictures` takes them, without looking at them."""
        return torch.cat([self.tokenize(batch) for batch in self._batches(pictures, batch_size)]).cpu()

    def _batches(
        self, pictures: Iterable[Image.Image], batch_size: int
    ) -> Iterator[Float[Tensor, "batch 3 height width"]]:
        remaining = (image_to_pixels(picture, self.config.image_size) for picture in pictures)
        while batch := list(itertools.islice(remaining, batch_size)):
            yield torch.from_numpy(np.stack(batch)).to(self.codebook.device).float() / 255

    @torch.inference_mode()
    def detokenize(self, codes: Int[Tensor, "batch code"]) -> Float[Tensor, "batch 3 height width"]:
        """Paint the pictures of `codes`, clipped to [0, 1]."""
        return self.paint(self.quantizer.vectors(codes))

    @torch.inference_mode()
    def paint(self, vectors: Float[Tensor, "batch code code_dim"]) -> Float[Tensor, "batch 3 height width"]:
        """Paint the pictures of vectors of length 1, codes' or what lies between, clipped to [0, 1]."""
        return self.decode(vectors)[0].clamp(0, 1)

    @property
    def codebook(self) -> Float[Tensor, "vocab code_dim"]:
        """The code vectors, which the decoder-only model takes as frozen inputs."""
        return self.quantizer.codebook

    @property
    def digest(self) -> str:
        """Of all weights but the painter's: image tokenizers that share it give the same codes and vectors."""
        return digest_weights(self, without=("decoder", "to_pixels"))

    @torch.no_grad()
    def begin_with(self, other: "ImageTokenizer") -> None:
        """Take over the weights of another tokenizer, which may have no eye.

        An eye that is new begins as the painting network, as far as both have layers: this has learnt to put together
        what lies apart in the latents, since it has to paint it. An eye or a painter that is there may grow: new
        layers pass on what they are given, new windows show nothing at first, and sighting is not used until it was
        taught.

        Raises:
            ConfigError: they differ in anything but the eye, or in the painter's layers by fewer.
        """
        for path, theirs, ours in differences(to_json(other.config), to_json(self.config)):
            grows = path in ("eye_window_width", "eye_light_modes") and 0 in (theirs, ours)
            grows = grows or (path == "decoder_layers" and theirs < ours)
            if path not in ("eye_layers", "focal_length", "aspect") and not grows:
                raise ConfigError(f"images.{path}: is {ours}, but the run to start from has {theirs}; set it so")
        known = other.state_dict()
        if other.eye is None:
            known |= {f"eye.{name}": value for name, value in other.decoder.state_dict().items()}
        own = self.state_dict()
        self.load_state_dict(own | {name: value for name, value in known.items() if name in own})


def _without_sighting(vectors: Float[Tensor, "batch code seen_dim"], shown: Float[Tensor, "batch code"]) -> Looked:
    nowhere = torch.full_like(vectors[..., :2], torch.nan)
    return Looked(vectors, shown, nowhere, nowhere.new_full((len(vectors), 3), torch.nan))


def seen_cells(seen: SeenImages) -> list[tuple[tuple[int, ...], Float[Tensor, "shown seen_dim"]]]:
    """Return for each picture the cells that may show an object, by their number, and what is seen of them."""
    return [
        (tuple(shown.nonzero()[:, 0].tolist()), vectors[shown])
        for vectors, shown in zip(seen.vectors, seen.shown, strict=True)
    ]


_SHOWS = 0.5
"""Probability of an object from which on a cell is believed to know where that stands."""

_MAY_SHOW = 0.1
"""Probability of an object from which on a cell is given: one too many costs a token, one too few perhaps an object."""


def image_to_pixels(image: Image.Image, size: int) -> UInt8[np.ndarray, "3 height width"]:
    """Squash an RGB picture to `size` x `size` and return its bytes, channels first.

    Source: Kyvo's published code squashes and does not crop.
    """
    resized = image.resize((size, size), Image.Resampling.BICUBIC) if image.size != (size, size) else image
    return np.ascontiguousarray(np.asarray(resized, dtype=np.uint8).transpose(2, 0, 1))


def pixels_to_image(pixels: Float[Tensor, "3 height width"]) -> Image.Image:
    """Return pixels as a PIL picture; values outside [0, 1] are clipped."""
    array = (pixels.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(array.permute(1, 2, 0).cpu().numpy())
