"""The one mask builder against hand-made masks of each kind."""

import torch

from trilingua.nn.masks import additive_mask, build_mask


def test_one_chain_of_single_tokens_is_tril() -> None:
    seq = 7
    node = torch.tensor([[0, 0, 1, 1, 1, 2, 2]])
    ancestors = torch.ones(3, 3).tril().bool()[None]
    mask = build_mask(node, ancestors, torch.arange(seq)[None])
    assert torch.equal(mask[0, 0], torch.ones(seq, seq).tril().bool())


def test_scales_as_blocks_give_the_block_causal_mask() -> None:
    sizes = [1, 4, 9]
    block = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))[None]
    mask = build_mask(torch.zeros_like(block), torch.ones(1, 1, 1).bool(), block)
    expected = torch.zeros(14, 14).bool()
    end = 0
    for size in sizes:
        expected[end : end + size, : end + size] = True
        end += size
    assert torch.equal(mask[0, 0], expected)


def test_branches_see_the_trunk_but_neither_each_other_nor_other_documents() -> None:
    # Document one: trunk 0 with branches 1 and 2; document two: 3; padding: 4.
    node = torch.tensor([[0, 0, 1, 1, 2, 2, 3, 3, 4]])
    ancestors = torch.eye(5).bool()
    ancestors[1, 0] = ancestors[2, 0] = True
    mask = build_mask(node, ancestors[None], torch.arange(9)[None])[0, 0]
    seen = [row.nonzero()[:, 0].tolist() for row in mask]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 4], [0, 1, 4, 5], [6], [6, 7], [8]]


def test_additive_mask_hides_by_minus_infinity() -> None:
    values = additive_mask(torch.tensor([True, False]), torch.bfloat16)
    assert values.dtype == torch.bfloat16
    assert values.tolist() == [0.0, float("-inf")]
