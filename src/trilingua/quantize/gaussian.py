"""The Gaussian bottleneck: a latent is drawn around its mean in training and is its mean in use.

Alone it makes the continuous latents of a set autoencoder; before residual quantization it makes the variational
vector quantization of VAT. Knows nothing of shapes.

Source: Kingma and Welling 2014, section 3 and appendix B; Rombach et al. 2022, appendix G (bounds of the variance).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAST_LOG_VARIANCE, GREATEST_LOG_VARIANCE = -30.0, 20.0
"""Log variances are clipped to this range, beyond which their exponentials leave single precision."""


class Posterior(NamedTuple):
    """An independent Gaussian for each number of a latent."""

    mean: Float[Tensor, "*points latent_dim"]
    log_variance: Float[Tensor, "*points latent_dim"]

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "*points latent_dim"]:
        """Return `mean + sqrt(variance) * noise`, with standard normal noise from `generator`.

        Args:
            generator: on the mean's device; None draws from torch's own stream, which the trainer seeds each step.
        """
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Float[Tensor, ""]:
        """Return the divergence from the standard normal, in nats, as the mean over all numbers of all latents.

        `(mean^2 + variance - 1 - log variance) / 2`. Multiply by `latent_dim` for the mean over latents.

        Differs: VAT gives its weight of 1e-4 without saying over what it sums; the mean is independent of sizes.
        """
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).mean()


class GaussianBottleneck(nn.Module):
    """Features to a Gaussian over latents, by one linear layer.

    Args:
        feature_dim: width of the features.
        latent_dim: width of a latent.
    """

    def __init__(self, feature_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.to_posterior = nn.Linear(feature_dim, 2 * latent_dim)

    def posterior(self, features: Float[Tensor, "*points feature_dim"]) -> Posterior:
        """Return the Gaussian of each feature vector, in single precision under autocast too."""
        mean, log_variance = self.to_posterior(features).float().chunk(2, dim=-1)
        return Posterior(mean, log_variance.clamp(LEAST_LOG_VARIANCE, GREATEST_LOG_VARIANCE))

    def forward(
        self, features: Float[Tensor, "*points feature_dim"], generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "*points latent_dim"], Posterior]:
        """Return latents and what they come from: a sample in training mode, the mean in evaluation.

        Codes and latents that are stored come from means, so that they are the same each time. A decoder that has
        only seen samples may read means worse; `Posterior.sample` shows whether it does.
        """
        posterior = self.posterior(features)
        return (posterior.sample(generator) if self.training else posterior.mean), posterior
