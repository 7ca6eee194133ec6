"""The quantizer against brute force and a slow oracle; revival, gradients, and stillness in evaluation."""

import math

import numpy as np
import pytest
import torch
from tests.oracles import vq as oracle

from trilingua.quantize.vq import VectorQuantizer, code_usage


def quantizer(num_codes=12, code_dim=5, **settings):
    torch.manual_seed(1)
    return VectorQuantizer(num_codes, code_dim, **settings)


def test_codes_are_the_nearest_by_brute_force():
    vq = quantizer()
    inputs = torch.randn(3, 7, 5) * torch.rand(3, 7, 1) * 10
    codes = vq.codes(inputs)
    expected = [[oracle.nearest(vector, vq.codebook.numpy()) for vector in row] for row in inputs.numpy()]
    assert codes.tolist() == expected
    assert torch.equal(vq.vectors(codes), vq.codebook[codes])


def test_codes_are_the_same_under_autocast():
    vq = quantizer(num_codes=1024, code_dim=16)
    inputs = torch.randn(512, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(vq.codes(inputs), vq.eval()(inputs).codes)
        inside = vq.codes(inputs)
    assert torch.equal(inside, vq.codes(inputs))


def test_the_gradient_passes_straight_through_to_the_unit_vectors():
    vq = quantizer().eval()
    inputs = torch.nn.functional.normalize(torch.randn(6, 5), dim=-1).requires_grad_()
    pull = torch.randn(6, 5)
    (vq(inputs).vectors * pull).sum().backward()
    # On the sphere, the gradient of the normalisation keeps what is tangent to it.
    along = (pull * inputs.detach()).sum(-1, keepdim=True) * inputs.detach()
    torch.testing.assert_close(inputs.grad, pull - along, rtol=1e-5, atol=1e-6)


def test_the_output_is_the_chosen_vectors_and_the_loss_their_mean_squared_distance():
    vq = quantizer().eval()
    inputs = torch.randn(2, 4, 5)
    made = vq(inputs)
    torch.testing.assert_close(made.vectors, vq.vectors(made.codes))
    distances = (torch.nn.functional.normalize(inputs, dim=-1) - vq.vectors(made.codes)).square().sum(-1)
    torch.testing.assert_close(made.loss, distances.mean())


def test_the_commitment_loss_pulls_inputs_to_their_codes_alone():
    vq = quantizer().eval()
    inputs = torch.randn(40, 5, requires_grad=True)
    made = vq(inputs)
    made.loss.backward()
    with torch.no_grad():
        moved = vq(inputs - 0.5 * inputs.grad)
    assert moved.loss < made.loss
    assert not vq.codebook.requires_grad


def test_training_follows_the_inputs_as_the_oracle_does():
    vq = quantizer(decay=0.8, count_decay=0.6, revive_below=0.0)
    codebook, counts = vq.codebook.numpy().copy(), vq.counts.numpy().copy()
    for step in range(5):
        inputs = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(step)) + 1
        codebook, counts = oracle.follow(inputs.flatten(0, 1).numpy(), codebook, counts, 0.8, 0.6)
        vq(inputs)
        np.testing.assert_allclose(vq.codebook.numpy(), codebook, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(vq.counts.numpy(), counts, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vq.codebook.numpy(), axis=-1), 1, rtol=1e-5)


def test_dead_codes_are_revived_onto_inputs():
    vq = quantizer(num_codes=8, decay=0.5, count_decay=0.5, revive_below=0.3)
    centres = torch.nn.functional.normalize(torch.randn(8, 5), dim=-1)
    vq.codebook.copy_(centres[:1].expand(8, 5) + 0.01 * torch.randn(8, 5))  # all codes in one place
    assert float(vq.eval()(centres).loss) > 1
    vq.train()
    for _ in range(30):
        inputs = (centres[:, None] + 0.01 * torch.randn(8, 4, 5)).flatten(0, 1)
        made = vq(inputs)
    assert code_usage(made.codes, 8)["used"] == 1.0
    assert float(made.loss) < 0.15  # two centres may share a code; at first it was far more


def test_a_revived_code_is_an_input_and_counts_as_an_average_one():
    vq = quantizer(num_codes=4, count_decay=0.5, revive_below=0.9)
    vq.counts.copy_(torch.tensor([2.0, 2.0, 2.0, 0.0]))
    vq.codebook.copy_(torch.eye(5)[:4])
    inputs = torch.eye(5)[:3].repeat(2, 1) + 0.1
    vq(inputs)
    units = torch.nn.functional.normalize(inputs, dim=-1)
    assert (units @ vq.codebook[3]).max() > 1 - 1e-6
    assert vq.counts.tolist() == [2.0, 2.0, 2.0, 1.5]


def test_a_dead_code_is_revived_where_it_is_needed():
    vq = quantizer(num_codes=2)
    vq.counts.copy_(torch.tensor([50.0, 0.0]))
    vq.codebook.copy_(torch.eye(5)[:2])
    served, lost = torch.eye(5)[:1].repeat(50, 1), -torch.eye(5)[2:3] + 0.1 * torch.eye(5)[:1]
    vq(torch.cat([served, lost]))
    assert torch.nn.functional.normalize(lost[0], dim=-1) @ vq.codebook[1] > 1 - 1e-5


def test_an_input_of_weight_3_counts_as_three_inputs():
    one, three = quantizer(revive_below=0.0), quantizer(revive_below=0.0)
    inputs = torch.nn.functional.normalize(torch.randn(10, 5), dim=-1)
    numbers = torch.tensor([1, 3] * 5)
    for step in range(3):
        moved = torch.nn.functional.normalize(inputs + 0.1 * step, dim=-1)
        one.follow(moved, one.codes(moved), numbers.float())
        repeated = moved.repeat_interleave(numbers, dim=0)
        three.follow(repeated, three.codes(repeated))
    torch.testing.assert_close(one.codebook, three.codebook)
    torch.testing.assert_close(one.counts, three.counts)


def test_dead_codes_go_where_weight_is():
    vq = quantizer(num_codes=2)
    vq.counts.copy_(torch.tensor([50.0, 0.0]))
    vq.codebook.copy_(torch.eye(5)[:2])
    inputs = torch.cat([-torch.eye(5)[2:3].repeat(30, 1), torch.eye(5)[3:4]])  # all are badly served alike
    vq.follow(inputs, torch.zeros(31, dtype=torch.long), torch.tensor([1e-6] * 30 + [50.0]))
    assert torch.equal(vq.codebook[1], inputs[-1])


def test_the_first_batch_gives_a_fresh_codebook_its_vectors():
    vq = quantizer(num_codes=6)
    inputs = torch.nn.functional.normalize(torch.randn(4, 5), dim=-1)
    vq(inputs)
    near = (vq.codebook @ inputs.T).amax(-1)
    assert (near > 0.7).all()
    assert (vq.counts > 0).all()


def test_evaluation_changes_nothing():
    vq = quantizer().eval()
    before = {name: value.clone() for name, value in vq.state_dict().items()}
    state = torch.get_rng_state()
    vq(torch.randn(50, 5))
    vq.codes(torch.randn(50, 5))
    assert all(torch.equal(value, before[name]) for name, value in vq.state_dict().items())
    torch.set_rng_state(state)


@pytest.mark.parametrize(
    ("codes", "used", "perplexity"),
    [
        ([0, 0, 0], 0.25, 1.0),
        ([0, 1, 2, 3], 1.0, 4.0),
        ([1, 1, 1, 2], 0.5, math.exp(-0.75 * math.log(0.75) + 0.25 * math.log(4))),
    ],
)
def test_usage_of_codes(codes, used, perplexity):
    usage = code_usage(torch.tensor(codes), 4)
    assert usage["used"] == used
    assert usage["perplexity"] == pytest.approx(perplexity)
