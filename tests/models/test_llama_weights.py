"""Reading and writing Llama checkpoints, held against transformers itself."""

import json
from pathlib import Path

import pytest
import torch

from trilingua.core.errors import CheckpointError, InputError
from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.models.llama_weights import export_llama, load_llama, read_llama_config, to_llama_state
from trilingua.nn.masks import build_mask
from trilingua.nn.rope import Llama3Scaling

transformers = pytest.importorskip("transformers")


def random_llama(*, scaled: bool, tied: bool) -> torch.nn.Module:
    rope = {"rope_type": "default", "rope_theta": 500_000.0}
    if scaled:
        rope |= {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=97,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=20,
            rope_parameters=rope,
            tie_word_embeddings=tied,
            initializer_range=0.2,
        )
    ).eval()


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@torch.no_grad()
def test_logits_equal_transformers(tmp_path: Path, scaled: bool, tied: bool) -> None:
    peer = random_llama(scaled=scaled, tied=tied)
    peer.save_pretrained(tmp_path, max_shard_size="100KB" if scaled else "5GB")
    assert (tmp_path / "model.safetensors.index.json").is_file() is scaled
    decoder = load_llama(tmp_path)
    ids = torch.randint(0, 97, (2, 130))
    expected = peer(ids).logits
    torch.testing.assert_close(decoder(ids), expected, rtol=0, atol=1e-4)
    node = torch.zeros_like(ids)
    mask = build_mask(node, torch.ones(2, 1, 1).bool(), torch.arange(130).expand(2, 130))
    torch.testing.assert_close(decoder(ids, mask=mask), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("scaled", [False, True])
@torch.no_grad()
def test_rotary_settings_are_read_where_older_checkpoints_have_them(tmp_path: Path, scaled: bool) -> None:
    """Before transformers 5, as in Llama 3.2, they stand at the top of the file."""
    random_llama(scaled=scaled, tied=False).save_pretrained(tmp_path)
    ids = torch.randint(0, 97, (1, 130))
    wanted = load_llama(tmp_path)(ids)
    raw = json.loads((tmp_path / "config.json").read_text())
    rope = raw.pop("rope_parameters")
    raw |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope if scaled else None}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert torch.equal(load_llama(tmp_path)(ids), wanted)


@pytest.mark.parametrize(("written", "meant"), [(9.999999747378752e-06, 1e-5), (1e-6, 1e-6), (0.0001, 1e-4)])
def test_a_norm_epsilon_in_float32_is_the_number_that_it_stands_for(
    tmp_path: Path, written: float, meant: float
) -> None:
    path = tmp_path / "config.json"
    sizes = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    path.write_text(
        json.dumps({"model_type": "llama", "intermediate_size": 8, "rms_norm_eps": written, **sizes}), encoding="utf-8"
    )
    assert read_llama_config(tmp_path).norm_eps == meant


@torch.no_grad()
def test_new_spans_leave_text_as_it_was(tmp_path: Path) -> None:
    peer = random_llama(scaled=False, tied=True)
    peer.save_pretrained(tmp_path)
    decoder = load_llama(tmp_path, num_markers=5, num_numbers=9, num_image_codes=7, image_code_dim=4)
    decoder.embedding.set_codebook(torch.randn(7, 4))
    ids = torch.randint(0, 97, (1, 20))
    torch.testing.assert_close(decoder(ids)[..., :97], peer(ids).logits, rtol=0, atol=1e-4)
    rms = [span.square().mean().sqrt().item() for span in decoder.embedding.table().split([97, 5, 9, 7])]
    assert rms == pytest.approx([rms[0]] * 4, rel=0.3)


@pytest.mark.parametrize("scaling", [None, Llama3Scaling(factor=8.0, original_max_positions=32)])
@torch.no_grad()
def test_export_is_a_plain_llama(tmp_path: Path, scaling: Llama3Scaling | None) -> None:
    torch.manual_seed(1)
    config = DecoderConfig(
        num_text=40,
        num_markers=6,
        num_numbers=11,
        num_image_codes=16,
        image_code_dim=8,
        dim=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        hidden_dim=48,
        rope_scaling=scaling,
        embedding_std=0.7,
    )
    decoder = Decoder(config).eval()
    decoder.embedding.set_codebook(torch.randn(16, 8))
    for layer in decoder.layers:
        torch.nn.init.normal_(layer.attention.qkv.weight, std=0.5)
    for part in (decoder.embedding, decoder.head):  # no identity, no zeros: folding must show
        assert part.number_matrix is not None
        torch.nn.init.normal_(part.number_matrix, std=0.3)
    export_llama(decoder, tmp_path, start_id=1, stop_id=2, pad_id=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert type(peer).__name__ == "LlamaForCausalLM"
    assert peer.generation_config.eos_token_id == 2
    ids = torch.randint(0, config.vocab_size, (2, 90))
    torch.testing.assert_close(peer(ids).logits, decoder(ids), rtol=0, atol=1e-4)
    again = load_llama(tmp_path)
    torch.testing.assert_close(again(ids), decoder(ids), rtol=0, atol=1e-5)
    assert to_llama_state(again)[1].keys() == to_llama_state(decoder)[1].keys()


def test_unusable_checkpoints_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder; check the path"):
        read_llama_config(tmp_path / "nowhere")
    random_llama(scaled=False, tied=False).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())

    def rewrite(**changes: object) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config | changes))

    rewrite(attention_bias=True)
    with pytest.raises(InputError, match="field 'attention_bias' is True; only False is supported"):
        load_llama(tmp_path)
    rewrite(intermediate_size=95)
    with pytest.raises(
        CheckpointError, match=r"mlp\.gate_proj\.weight' has shape \(96, 64\); config\.json says \(95, 64\)"
    ):
        load_llama(tmp_path)
    rewrite(num_hidden_layers=4)
    with pytest.raises(CheckpointError, match=r"'model\.layers\.3\.\S+' is missing"):
        load_llama(tmp_path)
    rewrite()
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="is no safetensors file or is truncated"):
        load_llama(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        load_llama(tmp_path)
