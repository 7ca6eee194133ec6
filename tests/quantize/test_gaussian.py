"""The Gaussian bottleneck against torch.distributions, and its two modes."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from trilingua.quantize.gaussian import GaussianBottleneck, Posterior


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def bottleneck():
    torch.manual_seed(0)
    return GaussianBottleneck(6, 4)


def test_kl_equals_torchs():
    posterior = Posterior(torch.randn(5, 3, 4, generator=stream(1)), torch.randn(5, 3, 4, generator=stream(2)))
    peer = kl_divergence(Normal(posterior.mean, (posterior.log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(posterior.kl(), peer.mean())
    assert float(Posterior(torch.zeros(2, 4), torch.zeros(2, 4)).kl()) == 0


def test_samples_have_the_posteriors_mean_and_variance():
    posterior = Posterior(torch.tensor([[-1.0, 2.0]]), torch.tensor([[0.5, -2.0]]))
    many = Posterior(*(tensor.expand(40000, 2) for tensor in posterior)).sample(stream())
    torch.testing.assert_close(many.mean(0), posterior.mean[0], atol=0.02, rtol=0)
    torch.testing.assert_close(many.var(0), posterior.log_variance[0].exp(), atol=0.03, rtol=0)


def test_a_sample_is_a_function_of_its_generator_alone():
    posterior = Posterior(torch.zeros(3, 4), torch.zeros(3, 4))
    first = posterior.sample(stream(7))
    torch.manual_seed(1)
    assert torch.equal(first, posterior.sample(stream(7)))
    assert not torch.equal(first, posterior.sample(stream(8)))


def test_training_samples_and_evaluation_takes_the_mean():
    made, features = bottleneck(), torch.randn(2, 5, 6)
    latents, posterior = made(features, stream(3))
    assert torch.equal(latents, posterior.sample(stream(3)))
    state = torch.get_rng_state()
    latents, posterior = made.eval()(features)
    assert torch.equal(latents, posterior.mean)
    assert torch.equal(state, torch.get_rng_state())


def test_without_a_generator_the_default_stream_is_drawn_from():
    made, features = bottleneck(), torch.randn(2, 5, 6)
    torch.manual_seed(4)
    first, _ = made(features)
    torch.manual_seed(4)
    assert torch.equal(first, made(features)[0])
    assert not torch.equal(first, made(features)[0])


def test_gradients_reach_mean_and_variance_through_a_sample():
    made = bottleneck()
    latents, _ = made(torch.randn(2, 5, 6), stream())
    latents.square().sum().backward()
    mean_rows, variance_rows = made.to_posterior.weight.grad.chunk(2)
    assert mean_rows.abs().sum() > 0
    assert variance_rows.abs().sum() > 0


@pytest.mark.parametrize("size", [-1e6, 1e6])
def test_wild_variances_stay_finite(size):
    made = bottleneck()
    with torch.no_grad():
        made.to_posterior.bias[4:] = size
    latents, posterior = made(torch.randn(3, 6), stream())
    assert latents.isfinite().all()
    assert posterior.kl().isfinite()


def test_the_posterior_is_in_single_precision_under_autocast():
    made, features = bottleneck().eval(), torch.randn(2, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        latents, posterior = made(features)
    assert latents.dtype == posterior.log_variance.dtype == torch.float32
