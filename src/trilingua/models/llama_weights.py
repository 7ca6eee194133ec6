"""Llama checkpoints in the Hugging Face layout: read into a `Decoder`, and written from one.

Knows names of tensors and fields of `config.json`; runs nothing. Writing folds numbers, projector and
codebook into one plain embedding table, so that the result needs none of our code.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trilingua.core.errors import CheckpointError, InputError
from trilingua.core.io import atomic_path, existing_file, existing_folder, read_json, write_json
from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.nn.embeddings import NumberEncoding
from trilingua.nn.rope import Llama3Scaling

_PLAIN = {
    "self_attn.o_proj": "attention.output",
    "mlp.down_proj": "mlp.down",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "mlp_norm",
}
_FUSED = {
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "mlp.gate_up": ("mlp.gate_proj", "mlp.up_proj"),
}


def read_llama_config(directory: str | Path) -> DecoderConfig:
    """Return the sizes of the Llama checkpoint in `directory`, with text tokens alone.

    Raises:
        InputError: no such folder, no `config.json`, or a field that a plain Llama does not have.
    """
    path = existing_folder(directory) / "config.json"
    raw = read_json(path)
    if not isinstance(raw, dict):
        raise InputError(f"{path}: holds a {type(raw).__name__}; expected an object with a Llama's sizes")

    def required(name: str) -> Any:
        if name not in raw:
            raise InputError(f"{path}: field {name!r} is missing; expected a Hugging Face Llama config")
        return raw[name]

    plain = {"model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
    for name, expected in plain.items():
        if raw.get(name, expected) != expected:
            raise InputError(
                f"{path}: field {name!r} is {raw[name]!r}; only {expected!r} is supported; use a plain Llama"
            )
    if raw.get("quantization_config") is not None:
        raise InputError(f"{path}: the weights are quantized; save a dense copy of the checkpoint first")
    rope = raw.get("rope_parameters") or {"rope_theta": raw.get("rope_theta", 10_000.0)} | (
        raw.get("rope_scaling") or {}
    )
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "llama3"):
        raise InputError(f"{path}: rope type {kind!r}; expected 'default' or 'llama3'")
    scaling = None
    if kind == "llama3":
        scaling = Llama3Scaling(
            factor=rope["factor"],
            low_freq_factor=rope["low_freq_factor"],
            high_freq_factor=rope["high_freq_factor"],
            original_max_positions=rope["original_max_position_embeddings"],
        )
    num_heads = required("num_attention_heads")
    return DecoderConfig(
        num_text=required("vocab_size"),
        dim=required("hidden_size"),
        num_layers=required("num_hidden_layers"),
        num_heads=num_heads,
        num_kv_heads=raw.get("num_key_value_heads") or num_heads,
        head_dim=raw.get("head_dim") or required("hidden_size") // num_heads,
        hidden_dim=required("intermediate_size"),
        rope_theta=float(rope.get("rope_theta", 10_000.0)),
        rope_scaling=scaling,
        # Some converters write the float32 that they read, 9.999999747e-06, for the 1e-05 that it stands for.
        norm_eps=float(str(np.float32(raw.get("rms_norm_eps", 1e-6)))),
        max_positions=raw.get("max_position_embeddings", 2048),
    )


def load_llama(
    directory: str | Path,
    *,
    num_markers: int = 0,
    num_numbers: int = 0,
    num_image_codes: int = 0,
    image_code_dim: int = 0,
    number_encoding: NumberEncoding = "learned+sinusoid",
    dtype: torch.dtype = torch.float32,
) -> Decoder:
    """Return a decoder whose text part is the Llama checkpoint in `directory`, with fresh rows for the other spans.

    The head's text rows come from `lm_head`, or from the embedding where the two are tied. Fresh rows
    start at the scale of the text embedding.

    Args:
        directory: holds `config.json` and `model.safetensors`, or an index and its shards.
        num_markers: as in `DecoderConfig`; so are the other spans.
        num_numbers: number tokens.
        num_image_codes: image codes; call `embedding.set_codebook` afterwards.
        image_code_dim: width of a code vector.
        number_encoding: how numbers embed.
        dtype: of the parameters.

    Raises:
        InputError: a file is missing or is not a plain Llama's.
        CheckpointError: a tensor is missing, torn or of another shape than `config.json` says.
    """
    config = replace(
        read_llama_config(directory),
        num_markers=num_markers,
        num_numbers=num_numbers,
        num_image_codes=num_image_codes,
        image_code_dim=image_code_dim,
        number_encoding=number_encoding,
    )
    tensors = _tensor_files(Path(directory))
    embedding = _read(tensors, "model.embed_tokens.weight", (config.num_text, config.dim))
    config = replace(config, embedding_std=float(embedding.float().square().mean().sqrt()) or config.embedding_std)
    decoder = Decoder(config).to(dtype)
    with torch.no_grad():
        decoder.embedding.text.copy_(embedding)
        if "lm_head.weight" in tensors:
            embedding = _read(tensors, "lm_head.weight", (config.num_text, config.dim))
        decoder.head.rows[: config.num_text].copy_(embedding)
        decoder.norm.weight.copy_(_read(tensors, "model.norm.weight", (config.dim,)))
        for ours, peers, parameter in _layer_parameters(decoder):
            rows = _rows(decoder.config, ours) or (parameter.shape[0],)
            parts = parameter.split(rows)
            for part, peer in zip(parts, peers, strict=True):
                part.copy_(_read(tensors, peer, tuple(part.shape)))
    return decoder


def to_llama_state(decoder: Decoder) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the `config.json` and the tensors of a plain Llama that computes the same logits.

    The embedding is `decoder.embedding.table()`: what numbers, projector and codebook give is folded in.
    """
    config = decoder.config
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if config.rope_scaling is not None:
        scaling = asdict(config.rope_scaling)
        scaling["original_max_position_embeddings"] = scaling.pop("original_max_positions")
        rope |= {"rope_type": "llama3", **scaling}
    dtype = str(decoder.head.rows.dtype).removeprefix("torch.")
    fields = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.dim,
        "intermediate_size": config.hidden_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": rope,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "initializer_range": 0.02,
        "dtype": dtype,
    }
    state = {
        "model.embed_tokens.weight": decoder.embedding.table(),
        "model.norm.weight": decoder.norm.weight,
        "lm_head.weight": decoder.head.weight,
    }
    for ours, peers, parameter in _layer_parameters(decoder):
        rows = _rows(config, ours) or (parameter.shape[0],)
        state |= dict(zip(peers, parameter.split(rows), strict=True))
    return fields, {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}


def export_llama(
    decoder: Decoder,
    directory: str | Path,
    *,
    start_id: int | None = None,
    stop_id: int | None = None,
    pad_id: int | None = None,
) -> None:
    """Write a plain `LlamaForCausalLM` directory that `transformers` loads: config, weights, generation settings.

    Args:
        decoder: what to write.
        directory: made if missing; files of the same names are replaced one by one, each atomically.
        start_id: id that begins a sequence, or none.
        stop_id: id that ends one, or none.
        pad_id: id that fills a batch, or none.
    """
    directory = Path(directory)
    if directory.is_file():
        raise InputError(f"{directory}: is a file; expected a folder to write the checkpoint to")
    fields, state = to_llama_state(decoder)
    special = {"bos_token_id": start_id, "eos_token_id": stop_id, "pad_token_id": pad_id}
    with atomic_path(directory / "model.safetensors") as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
    write_json(directory / "config.json", fields | special)
    write_json(directory / "generation_config.json", {"do_sample": False, **special})


def _layer_parameters(decoder: Decoder) -> Iterator[tuple[str, tuple[str, ...], Tensor]]:
    """Yield each layer parameter: our name in the layer, the full names that the peer stacks in it, the tensor."""
    for name, parameter in decoder.named_parameters():
        match = re.fullmatch(r"layers\.(\d+)\.(.+)\.weight", name)
        if match is None:
            continue
        index, ours = match.groups()
        theirs = _FUSED.get(ours) or tuple(peer for peer, name in _PLAIN.items() if name == ours)
        yield ours, tuple(f"model.layers.{index}.{peer}.weight" for peer in theirs), parameter


def _rows(config: DecoderConfig, ours: str) -> tuple[int, ...] | None:
    """Return how many rows each part of a fused matrix has, or None for a plain one."""
    if ours == "attention.qkv":
        shared = config.num_kv_heads * config.head_dim
        return config.num_heads * config.head_dim, shared, shared
    return (config.hidden_dim, config.hidden_dim) if ours == "mlp.gate_up" else None


def _tensor_files(directory: Path) -> dict[str, Path]:
    """Return the file that holds each tensor."""
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        try:
            return {name: directory / file for name, file in read_json(index)["weight_map"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{index}: has no object 'weight_map'; download the checkpoint again") from error
    path = existing_file(directory / "model.safetensors")
    try:
        with safe_open(path, "pt") as stream:
            return dict.fromkeys(stream.keys(), path)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: is no safetensors file or is truncated; copy it again") from error


def _read(tensors: dict[str, Path], name: str, shape: tuple[int, ...]) -> Tensor:
    if name not in tensors:
        raise CheckpointError(f"checkpoint: tensor {name!r} is missing; expected a plain Llama's; copy it again")
    path = existing_file(tensors[name])
    try:
        with safe_open(path, "pt") as stream:
            tensor = stream.get_tensor(name)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: tensor {name!r} cannot be read; the file may be truncated; copy it again"
        ) from error
    if tuple(tensor.shape) != shape:
        raise CheckpointError(f"{path}: tensor {name!r} has shape {tuple(tensor.shape)}; config.json says {shape}")
    return tensor
