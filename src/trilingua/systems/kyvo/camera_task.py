"""Training of what tells an eye where the camera stands, and of nothing else.

It needs neither codes nor the eye's transformer, so that a step of 64 pictures takes a fraction of one of the eye's;
and it wants many, since a tenth of a gray level is what it is to learn.
"""

from collections.abc import Iterable
from typing import Unpack

import torch
from jaxtyping import Float
from torch import Tensor

from trilingua.core.errors import ConfigError
from trilingua.data.pictures import PictureBatch
from trilingua.scenes.schema import CLEVR, Schema
from trilingua.systems.kyvo.eye_task import EyeTask
from trilingua.systems.kyvo.picture_task import PictureTaskOptions
from trilingua.tokenizers.images import ImageTokenizer
from trilingua.training.task import Metrics


class CameraTask(EyeTask):
    """Trains the camera of an `ImageTokenizer`'s sighting on pictures whose cameras are known; judged as an eye is.

    Args:
        images: the tokenizer; all but what finds the camera is frozen.
        schema: as in `EyeTask`.
        options: the same.

    Raises:
        ConfigError: the tokenizer has no sighting.
    """

    def __init__(
        self, images: ImageTokenizer, *, schema: Schema = CLEVR, **options: Unpack[PictureTaskOptions]
    ) -> None:
        if images.eye_sighting is None:
            raise ConfigError("learns: 'camera', but images.eye_light_modes is 0; give it some, 40 for example")
        super().__init__(images, schema=schema, **options)
        self.reader = images.eye_sighting.camera
        self.model.requires_grad_(False)
        self.reader.requires_grad_(True)

    def loss(self, batch: PictureBatch) -> tuple[Float[Tensor, ""], Metrics]:
        """Return the mean error of the cameras' coordinates, in metres."""
        error = (self.reader(batch.images.float() / 255) - batch.cameras).abs().mean()
        return error, {"camera_error": error.detach()}

    def begin(self, pictures: Iterable[PictureBatch]) -> None:
        """Let shading be read by its principal components in these pictures, unless it can be read already.

        Pictures are only made if they are needed.

        Raises:
            ConfigError: there are no more pictures than components.
        """
        if self.reader.has_begun:
            return
        batches = list(pictures)
        light = torch.cat([self.reader.light(batch.images.float() / 255) for batch in batches])
        modes = self.config.eye_light_modes
        if len(light) <= modes:
            raise ConfigError(
                f"images.eye_light_modes: {modes}; expected fewer than the {len(light)} pictures to begin with; "
                "set it so, or make more data"
            )
        self.reader.begin(light, torch.cat([batch.cameras for batch in batches]))
