"""Rotary embedding: peers' frequencies, and that only differences of positions matter."""

import pytest
import torch

from trilingua.core.errors import ConfigError
from trilingua.nn.rope import Llama3Scaling, RotaryEmbedding, rotary_frequencies, rotate


@pytest.mark.parametrize("scaled", [False, True])
def test_frequencies_equal_transformers(scaled: bool) -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    parameters = {"rope_type": "default", "rope_theta": 500_000.0}
    scaling = None
    if scaled:
        parameters |= {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
        scaling = Llama3Scaling(factor=32.0)
    config = LlamaConfig(hidden_size=128, num_attention_heads=2, head_dim=64, rope_parameters=parameters)
    peer = LlamaRotaryEmbedding(config).inv_freq
    torch.testing.assert_close(rotary_frequencies(64, theta=500_000.0, scaling=scaling), peer, rtol=1e-6, atol=0)


def test_scores_depend_on_relative_positions_alone() -> None:
    rotary = RotaryEmbedding(16)
    query, key = torch.randn(2, 1, 5, 3, 16).unbind(0)
    scores = []
    for offset in (0, 11):
        rotation = rotary(torch.arange(5)[None] + offset, torch.float32)
        scores.append(torch.einsum("bqhd,bkhd->bhqk", rotate(query, *rotation), rotate(key, *rotation)))
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-4, atol=1e-5)


def test_errors_say_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="head_dim: 7 is odd; rotary embedding pairs channels"):
        rotary_frequencies(7)
    with pytest.raises(ConfigError, match=r"^factor, low_freq_factor, high_freq_factor: 0\.5, .*expected factor >= 1"):
        Llama3Scaling(factor=0.5)
