"""A Llama-compatible decoder over the unified vocabulary.

It sees ids, positions and masks; what an id means, where a document ends and what is supervised are
told by its callers. It knows no tokenizer and no task.
"""

import math
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from trilingua.core.config import require_at_least
from trilingua.core.errors import ConfigError
from trilingua.nn.attention import Attention, AttentionPlan, plan_attention
from trilingua.nn.caches import ChunkPlan, KVCache
from trilingua.nn.embeddings import NumberEncoding, PlacedVectors, UnifiedEmbedding, UnifiedHead
from trilingua.nn.mlps import SwiGLU
from trilingua.nn.norms import RMSNorm
from trilingua.nn.rope import Llama3Scaling, RotaryEmbedding


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes of a decoder. Ids lie in spans in the order text, markers, numbers, image codes."""

    num_text: int
    """Text tokens, at least 1. Llama-3.2: 128,256; SmolLM2: 49,152."""
    num_markers: int = 0
    """Structural tokens such as scene start and end. Kyvo on CLEVR: 14."""
    num_numbers: int = 0
    """Number tokens in ascending order of value. Kyvo at granularity 0.05: 121."""
    num_image_codes: int = 0
    """Codes of the image tokenizer. Kyvo: 1,024."""
    image_code_dim: int = 0
    """Width of a frozen code vector. Kyvo: 256."""
    seen_dim: int = 0
    """Width of what is seen of a cell; 0 if pictures are not seen."""
    dim: int = 256
    """Width of the residual stream."""
    num_layers: int = 6
    """Transformer layers."""
    num_heads: int = 8
    """Query heads, a multiple of `num_kv_heads`."""
    num_kv_heads: int = 8
    """Key and value heads."""
    head_dim: int = 32
    """Channels of a head, even."""
    hidden_dim: int = 704
    """Width inside the feed-forward blocks."""
    rope_theta: float = 10_000.0
    """Base of the rotary wavelengths. Llama-3.2: 500,000."""
    rope_scaling: Llama3Scaling | None = None
    """Llama 3's stretching of long wavelengths, or none."""
    norm_eps: float = 1e-5
    """Added to the mean square in every norm."""
    number_encoding: NumberEncoding = "learned+sinusoid"
    """How numbers enter and leave: by learned rows, by sines and cosines of their index, or by their sum.
    Source: Kyvo, section 3, for those that enter."""
    max_positions: int = 2048
    """Longest sequence that decoding and export promise, in tokens; training may not exceed it."""
    embedding_std: float = 0.02
    """Root mean square of a fresh embedding row's entries; with a backbone, its text embedding's own."""

    def __post_init__(self) -> None:
        require_at_least(self, num_text=1, dim=1, num_layers=1, num_heads=1, num_kv_heads=1, head_dim=1, hidden_dim=1)
        require_at_least(self, num_markers=0, num_numbers=0, num_image_codes=0, image_code_dim=0, seen_dim=0)
        encodings = get_args(NumberEncoding)
        if self.number_encoding not in encodings:
            raise ConfigError(f"number_encoding: {self.number_encoding!r}; expected one of {', '.join(encodings)}")
        if self.num_heads % self.num_kv_heads:
            raise ConfigError(f"num_heads: {self.num_heads}; expected a multiple of num_kv_heads {self.num_kv_heads}")
        if self.head_dim % 2:
            raise ConfigError(f"head_dim: {self.head_dim}; expected an even width, rotary embedding pairs channels")

    @property
    def vocab_size(self) -> int:
        """Number of ids over all spans."""
        return self.first_code + self.num_image_codes

    @property
    def first_code(self) -> int:
        """The id of the first image code."""
        return self.num_text + self.num_markers + self.num_numbers


class DecoderLayer(nn.Module):
    """Attention and a feed-forward block, each on normalised input and added to the residual stream."""

    def __init__(self, config: DecoderConfig) -> None:
        """Args: config: the decoder's."""
        super().__init__()
        self.attention_norm = RMSNorm(config.dim, eps=config.norm_eps)
        self.attention = Attention(
            dim=config.dim, num_heads=config.num_heads, num_kv_heads=config.num_kv_heads, head_dim=config.head_dim
        )
        self.mlp_norm = RMSNorm(config.dim, eps=config.norm_eps)
        self.mlp = SwiGLU(config.dim, config.hidden_dim)

    def forward(
        self,
        x: Float[Tensor, "batch seq dim"],
        rotation: tuple[Tensor, Tensor],
        plan: AttentionPlan,
        cache: tuple[KVCache, int, ChunkPlan] | None = None,
        ends: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch query dim"]:
        """Return the residual stream after this layer; arguments as `Attention.forward`."""
        mixed = self.attention(self.attention_norm(x), rotation, plan, cache, ends)
        if ends is not None:
            x = x[torch.arange(len(x), device=x.device), ends][:, None]
        x = x + mixed
        return x + self.mlp(self.mlp_norm(x))


class Decoder(nn.Module):
    """Decoder-only transformer: unified embedding, Llama layers, final norm, untied output head.

    Differs: the published head is drawn at random and the text rows of the checkpoint are dropped;
    ours can start from the text embedding (`init_from_text_embedding`).
    """

    def __init__(self, config: DecoderConfig) -> None:
        """Args: config: sizes; weights are drawn from torch's global generator."""
        super().__init__()
        self.config = config
        self.embedding = UnifiedEmbedding(
            num_text=config.num_text,
            num_markers=config.num_markers,
            num_numbers=config.num_numbers,
            num_image_codes=config.num_image_codes,
            image_code_dim=config.image_code_dim,
            dim=config.dim,
            seen_dim=config.seen_dim,
            number_encoding=config.number_encoding,
            std=config.embedding_std,
        )
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.dim, eps=config.norm_eps)
        self.head = UnifiedHead(
            vocab_size=config.vocab_size,
            first_number=config.num_text + config.num_markers,
            num_numbers=config.num_numbers,
            dim=config.dim,
            number_encoding=config.number_encoding,
        )
        self.rotary = RotaryEmbedding(config.head_dim, theta=config.rope_theta, scaling=config.rope_scaling)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                # Two branches a layer add to the stream: scaled so, its variance does not grow with depth.
                into_stream = name.endswith(("attention.output", "mlp.down"))
                std = 0.02 / math.sqrt(2 * self.config.num_layers) if into_stream else 0.02
                nn.init.normal_(module.weight, std=std)

    @torch.no_grad()
    def init_from_text_embedding(self) -> None:
        """Copy the text embedding into the head's text rows, so that new text starts where the backbone's ends."""
        self.head.rows[: self.config.num_text] = self.embedding.text

    def hidden(
        self,
        ids: Int[Tensor, "batch seq"],
        *,
        positions: Int[Tensor, "batch seq"] | None = None,
        mask: Bool[Tensor, "batch 1 seq seq"] | None = None,
        cache: KVCache | None = None,
        table: Float[Tensor, "vocab dim"] | None = None,
        vectors: PlacedVectors | None = None,
        ends: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch query dim"]:
        """Return the final normalised states, which the head turns into logits.

        Args:
            ids: ids of the unified vocabulary; pad with any valid id.
            positions: rotary position of each token; None counts from 0, or from the cache's lengths.
            mask: who sees whom (`build_mask`); None is plain causal.
            cache: keys and values of what was read before; the chunk is written behind each row's
                length, and counts once the caller calls `cache.advance`.
            table: `embedding.table()` of these weights, for callers that fold once and read often.
            vectors: what is seen of pictures, added to the rows of some ids.
            ends: the one place in each row whose state is wanted, which spares the last layer most of its work;
                None for all.
        """
        chunk = None
        if cache is not None:
            assert mask is None, "a cache decides masks"
            chunk = cache.plan(ids.shape[1])
            mask, is_causal = chunk.mask, chunk.is_causal
            if positions is None:
                positions = chunk.slots
        else:
            is_causal = mask is None
            if positions is None:
                positions = torch.arange(ids.shape[1], device=ids.device)[None]
        x = self.embedding(ids, table, vectors)
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        plan = plan_attention(mask, dtype, is_causal=is_causal)
        rotation = self.rotary(positions, dtype)
        for index, layer in enumerate(self.layers):
            place = None if cache is None or chunk is None else (cache, index, chunk)
            x = layer(x, rotation, plan, place, ends if index == len(self.layers) - 1 else None)
        return self.norm(x)

    def forward(
        self,
        ids: Int[Tensor, "batch seq"],
        *,
        positions: Int[Tensor, "batch seq"] | None = None,
        mask: Bool[Tensor, "batch 1 seq seq"] | None = None,
        cache: KVCache | None = None,
        output_at: Int[Tensor, " selected"] | Bool[Tensor, "batch seq"] | None = None,
        table: Float[Tensor, "vocab dim"] | None = None,
        vectors: PlacedVectors | None = None,
    ) -> Float[Tensor, "*selected vocab"]:
        """Return logits `[batch, seq, vocab]`, or `[selected, vocab]` at `output_at` alone.

        Args:
            ids: as `hidden`; so are positions, mask, cache and table.
            positions: rotary position of each token.
            mask: who sees whom.
            cache: keys and values of what was read before.
            table: an earlier `embedding.table()`.
            vectors: what is seen of pictures, added to the rows of some ids.
            output_at: where logits are wanted: indices into the flattened batch x seq, or a boolean mask.
        """
        states = self.hidden(ids, positions=positions, mask=mask, cache=cache, table=table, vectors=vectors)
        if output_at is not None:
            states = states.flatten(0, 1)[output_at.flatten()]
        return self.head(states)

    def make_cache(self, batch: int, max_len: int, *, dtype: torch.dtype | None = None) -> KVCache:
        """Return an empty cache for `batch` rows of at most `max_len` tokens, on this model's device."""
        config, weight = self.config, self.head.rows
        return KVCache(
            num_layers=config.num_layers,
            batch=batch,
            num_kv_heads=config.num_kv_heads,
            max_len=max_len,
            head_dim=config.head_dim,
            dtype=dtype or weight.dtype,
            device=weight.device,
        )
