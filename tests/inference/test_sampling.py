"""Drawing one id: filters against a plain re-implementation, frequencies against probabilities."""

import pytest
import torch
from tests.oracles.decoding import average_slowly

from trilingua.core.errors import ConfigError
from trilingua.inference.sampling import OrderedIds, Sampling, average_ids, filter_logits, sample_ids


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.8, 0.999, 1.0])
@pytest.mark.parametrize("top_k", [None, 1, 5, 100])
def test_filters_equal_a_plain_loop(top_k: int | None, top_p: float) -> None:
    torch.manual_seed(0)
    for row in torch.randn(20, 11).double() * 3:
        order = row.argsort(descending=True).tolist()[: top_k or 11]
        kept, total = [], 0.0
        for index in order:
            if total < top_p or not kept:
                kept.append(index)
            total += float(row[order].softmax(0)[order.index(index)])
        filtered = filter_logits(row[None], top_k=top_k, top_p=top_p)[0]
        assert sorted(kept) == filtered.isfinite().nonzero()[:, 0].tolist()
        assert torch.equal(filtered[kept], row[kept])


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    assert sample_ids(torch.tensor([[0.0, 2.0, 2.0], [5.0, 1.0, 0.0]])).tolist() == [1, 0]


def test_draws_follow_the_probabilities_and_the_generator() -> None:
    logits = torch.tensor([0.1, 0.2, 0.7]).log().expand(20_000, 3)
    sampling = Sampling(temperature=0.5, seed=3)
    draws = [sample_ids(logits, sampling, sampling.generator()) for _ in range(2)]
    assert torch.equal(draws[0], draws[1])
    expected = torch.tensor([0.01, 0.04, 0.49]) / 0.54
    torch.testing.assert_close(draws[0].bincount(minlength=3) / 20_000, expected, rtol=0, atol=0.01)
    forbidden = torch.tensor([[1.0, float("-inf"), 1.0]]).expand(500, 3)
    assert 1 not in sample_ids(forbidden, Sampling(temperature=1.0, top_p=0.99)).tolist()


@pytest.mark.parametrize(("window", "tolerance"), [(0, 0), (2, 1), (30, 4), (5, 30)])
def test_means_equal_a_plain_loop(window: int, tolerance: int) -> None:
    torch.manual_seed(window)
    ordered = OrderedIds(start=3, stop=24, window=window, tolerance=tolerance)
    probabilities = (torch.randn(40, 21).double() * 2).softmax(-1)
    probabilities[:20, ::3] = 0.0  # forbidden
    averaged = average_ids(probabilities, probabilities.argmax(-1), torch.arange(3, 24), ordered)
    for row, column, mass, mean in zip(probabilities.tolist(), *(part.tolist() for part in averaged), strict=True):
        likely = {index + 3: share for index, share in enumerate(row) if share}
        expected = average_slowly(likely, max(likely, key=lambda index: likely[index]), ordered)
        assert (column + 3, mass, mean) == (expected[0], pytest.approx(expected[1]), pytest.approx(expected[2]))


def test_the_mean_lies_between_two_likely_neighbours_and_ignores_a_distant_one() -> None:
    probabilities = torch.zeros(1, 30)
    probabilities[0, [4, 6, 25]] = torch.tensor([0.4, 0.3, 0.3])
    averaged = average_ids(
        probabilities + 1e-9, torch.tensor([4]), torch.arange(30), OrderedIds(start=0, stop=30, window=3, tolerance=1)
    )
    assert (averaged.columns.tolist(), averaged.masses.tolist()) == ([5], pytest.approx([0.7]))
    assert averaged.means.tolist() == pytest.approx([(0.4 * 4 + 0.3 * 6) / 0.7])


def test_a_mean_keeps_its_fraction_beside_great_ids() -> None:
    probabilities = torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]])
    ids = torch.arange(130_001, 130_004)
    averaged = average_ids(
        probabilities, probabilities.argmax(-1), ids, OrderedIds(start=130_001, stop=130_004, window=1)
    )
    assert averaged.means.tolist() == pytest.approx([130_001.5, 130_001.1], abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": 3, "stop": 3}, "ordered ids: 3 to 3; expected 0 <= start < stop"),
        ({"start": -1, "stop": 3}, "ordered ids: -1 to 3; expected 0 <= start < stop"),
        ({"start": 0, "stop": 3, "window": -1}, "ordered ids: window -1; expected 0 or more"),
        ({"start": 0, "stop": 3, "tolerance": -2}, "ordered ids: tolerance -2; expected 0 or more"),
    ],
)
def test_impossible_spans_are_refused_in_words(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OrderedIds(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((-0.1, None, None), "temperature: -0.1; expected 0"),
        ((float("nan"), None, None), "temperature: nan; expected 0"),
        ((1.0, 0, None), "top_k: 0; expected at least 1"),
        ((1.0, None, 0.0), "top_p: 0.0; expected more than 0"),
        ((1.0, None, 1.5), "top_p: 1.5; expected more than 0 and at most 1"),
    ],
)
def test_bad_settings_are_refused_in_words(settings: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Sampling(temperature=settings[0], top_k=settings[1], top_p=settings[2])
