"""The figures of the data by which channels are scaled are those of all batches, and lead there and back."""

import torch

from trilingua.nn.norms import ChannelScale


def test_figures_are_means_over_batches_and_lead_there_and_back():
    scale = ChannelScale(3)
    batches = [torch.randn(40, 3, dtype=torch.float64).float() * torch.tensor([1.0, 5, 0.1]) + 2 for _ in range(3)]
    for batch in batches:
        scale.follow(batch)
    rows = torch.cat(batches)  # of equal size, so that the mean of means is the mean
    torch.testing.assert_close(scale.mean, rows.mean(dim=0))
    torch.testing.assert_close(scale.deviation, rows.std(dim=0, correction=0), rtol=1e-3, atol=1e-3)
    scaled = scale(rows)
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(3), rtol=0, atol=1e-2)
    torch.testing.assert_close(scale.restore(scaled), rows)


def test_a_batch_of_no_rows_and_a_channel_that_never_changes_do_no_harm():
    scale = ChannelScale(2)
    scale.follow(torch.zeros(0, 2))
    assert torch.equal(scale.restore(torch.ones(1, 2)), torch.ones(1, 2))
    scale.follow(torch.tensor([[3.0, 0.0], [3.0, 0.0]]))
    assert int(scale.batches) == 1
    assert scale(torch.tensor([[3.0, 0.0]])).abs().max() < 1e-3
    assert scale(torch.tensor([[3.1, 1.0]])).isfinite().all()
