"""Decoders that start from a backbone: what they begin as, what trains, and what comes back from the run."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trilingua.core.config import replace_dotted
from trilingua.core.errors import ConfigError
from trilingua.nn.lora import LoRALinear
from trilingua.systems.kyvo.build import Tokenizers, build_decoder, build_text_tokenizer, load_decoder
from trilingua.systems.kyvo.config import KyvoConfig, TokenizersConfig, kyvo_tiny
from trilingua.systems.kyvo.train import train_decoder

transformers = pytest.importorskip("transformers")

MATRICES = ("attention.qkv", "attention.output", "mlp.gate_up", "mlp.down")
NEW = {
    *(f"decoder.embedding.{name}" for name in ("markers", "numbers", "number_matrix", "projector")),
    *(f"decoder.head.{name}" for name in ("rows", "number_matrix")),
}
PROBES = {
    f"probes.{name}.output.{kind}"
    for name in ("given", "drawn", "objects", "recognized")
    for kind in ("weight", "bias")
}


@pytest.fixture(scope="module")
def backbone(tiny_tokenizers: Tokenizers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of the sizes of `kyvo-tiny`, with its text tokenizer beside it."""
    folder = tmp_path_factory.mktemp("backbone") / "llama"
    torch.manual_seed(0)
    peer = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=tiny_tokenizers.sequences.text.size,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=64,
            rms_norm_eps=1e-5,
            max_position_embeddings=512,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            initializer_range=0.1,
        )
    )
    peer.save_pretrained(folder)
    tiny_tokenizers.sequences.text.save(folder / "tokenizer.json")
    return folder


def config_of(recipe: str, backbone: Path | str, **changes: object) -> KyvoConfig:
    return replace_dotted(kyvo_tiny(), {"recipe": recipe, "backbone": str(backbone), **changes})


@pytest.mark.parametrize("recipe", ["full", "lora"])
@torch.no_grad()
def test_text_starts_as_the_backbones(recipe: str, backbone: Path, tiny_tokenizers: Tokenizers) -> None:
    torch.manual_seed(1)
    decoder = build_decoder(config_of(recipe, backbone), tiny_tokenizers)
    peer = transformers.LlamaForCausalLM.from_pretrained(backbone).eval()
    ids = torch.randint(0, decoder.config.num_text, (2, 30))
    logits = decoder(ids)
    torch.testing.assert_close(logits[..., : decoder.config.num_text], peer(ids).logits, rtol=0, atol=1e-4)
    assert logits.shape[-1] == tiny_tokenizers.vocabulary.size
    assert torch.equal(decoder.embedding.codebook, tiny_tokenizers.images.codebook)


def trained_names(recipe: str, decoder: torch.nn.Module) -> set[str]:
    everything = {f"decoder.{name}" for name, _ in decoder.named_parameters()}
    adapters = {
        f"decoder.layers.{layer}.{matrix}.{factor}"
        for layer in range(2)
        for matrix in MATRICES
        for factor in ("down", "up")
    }
    return everything if recipe == "full" else adapters | NEW


@pytest.mark.parametrize(("recipe", "optimizer"), [("full", "adamw"), ("lora", "adamw"), ("lora", "muon")])
def test_two_steps_train_what_the_recipe_says(
    recipe: str,
    optimizer: str,
    backbone: Path,
    tiny_tokenizers: Tokenizers,
    tiny_tokenizers_run: Path,
    tiny_shards: Path,
    tmp_path: Path,
) -> None:
    config = config_of(
        recipe,
        backbone,
        tokenizers=str(tiny_tokenizers_run),
        data=str(tiny_shards),
        **{
            "loader.rows_per_batch": 1,
            "trainer.max_steps": 2,
            "trainer.eval_every_steps": 0,
            "trainer.optimizer": optimizer,
            "trainer.precision": "fp32",
            "trainer.num_threads": 1,
        },
    )
    torch.manual_seed(config.trainer.seed)
    start = build_decoder(config, tiny_tokenizers)
    before = {f"decoder.{name}": tensor for name, tensor in start.state_dict().items()}
    expected = trained_names(recipe, start)
    assert {f"decoder.{name}" for name, value in start.named_parameters() if value.requires_grad} == expected

    result = train_decoder(config, tmp_path / "run")
    assert (result.step, result.reason) == (2, "finished")
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert set(after) == set(before) | PROBES
    moved = {name for name, tensor in before.items() if not torch.equal(after[name], tensor)}
    assert moved == expected

    saved, decoder = load_decoder(tmp_path / "run", tiny_tokenizers)
    assert saved == config
    assert not any(isinstance(part, LoRALinear) for part in decoder.modules())
    start.load_state_dict({name.removeprefix("decoder."): after[name] for name in before})
    ids = torch.randint(0, tiny_tokenizers.vocabulary.size, (1, 40))
    with torch.no_grad():
        torch.testing.assert_close(decoder(ids), start(ids), rtol=1e-4, atol=1e-4)


def test_the_backbones_text_tokenizer_is_taken(backbone: Path, tiny_tokenizers: Tokenizers) -> None:
    text = build_text_tokenizer(TokenizersConfig(backbone=str(backbone)), [])
    assert text.digest == tiny_tokenizers.sequences.text.digest


def test_recipes_that_cannot_start_are_refused_in_words(backbone: Path, tiny_tokenizers: Tokenizers) -> None:
    def message(config: KyvoConfig) -> str:
        with pytest.raises(ConfigError) as caught:
            build_decoder(config, tiny_tokenizers)
        return str(caught.value)

    assert message(config_of("full", "")) == (
        "backbone: recipe 'full' starts from one; name \"smollm2\", a Llama directory or a run"
    )
    assert message(config_of("full", backbone, **{"decoder.rope_theta": 5e5})) == (
        f"decoder.rope_theta: is 500000.0, but the backbone {str(backbone)!r} has 10000.0; set it so"
    )
    assert message(config_of("lora", backbone, lora_rank=0)) == (
        'lora rank: 0; expected at least 1; to train all of the backbone use recipe "full"'
    )


def test_a_run_goes_on_from_another_one(
    tiny_run: Path, tiny_tokenizers: Tokenizers, tiny_shards: Path, tmp_path: Path
) -> None:
    start = load_decoder(tiny_run, tiny_tokenizers)[1].state_dict()
    for name, tensor in build_decoder(config_of("full", tiny_run), tiny_tokenizers).state_dict().items():
        assert torch.equal(tensor, start[name]), name
    changes = {
        "tokenizers": str(tiny_run),
        "data": str(tiny_shards),
        "trainer.max_steps": 1,
        "trainer.learning_rate": 1e-8,
        "trainer.eval_every_steps": 0,
        "trainer.ema_decay": 0.0,
    }
    train_decoder(config_of("lora", tiny_run, **changes), tmp_path / "run")
    after = load_decoder(tmp_path / "run", tiny_tokenizers)[1].state_dict()
    for name, tensor in after.items():
        torch.testing.assert_close(tensor, start[name], rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError) as caught:
        build_decoder(config_of("full", tiny_run, **{"decoder.dim": 128}), tiny_tokenizers)
    assert str(caught.value) == f"decoder.dim: is 128, but the backbone {str(tiny_run)!r} has 64; set it so"


def test_a_backbone_of_another_text_is_refused_in_words(tiny_tokenizers: Tokenizers, tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 1}
    peer = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=77, **sizes))
    peer.save_pretrained(tmp_path)
    with pytest.raises(ConfigError) as caught:
        build_decoder(config_of("full", tmp_path), tiny_tokenizers)
    assert str(caught.value) == (
        f"tokenizers: their text has {tiny_tokenizers.sequences.text.size} ids, but the backbone {str(tmp_path)!r} "
        f"has 77; train tokenizers with --backbone {tmp_path}"
    )
