"""The programs that ours is compared with: `transformers` on the same weights, and the published way to decode."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from trilingua.models.decoder import Decoder
from trilingua.models.llama_weights import to_llama_state


def load_exported(folder: Path) -> Any:
    """Return the exported decoder as `transformers` loads it."""
    transformers.utils.logging.disable_progress_bar()
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


def same_llama(decoder: Decoder) -> Any:
    """Return a plain Llama of the decoder's sizes and weights, to be trained."""
    fields, state = to_llama_state(decoder)
    peer = transformers.LlamaForCausalLM(transformers.LlamaConfig.from_dict(fields))
    peer.load_state_dict(state)
    return peer


@torch.inference_mode()
def generate(
    peer: Any, prompts: Sequence[Sequence[int]], *, stop_id: int, max_new_tokens: int, may_stop: bool = True
) -> list[list[int]]:
    """Return what `generate` writes greedily after each prompt, with its own key-value cache, without the stop id.

    Args:
        peer: the model.
        prompts: ids, all of one length.
        stop_id: ends a row.
        max_new_tokens: most ids of a row.
        may_stop: if not, every row gets `max_new_tokens` ids, for weights that never learnt to stop.
    """
    ids = torch.tensor(prompts)
    written = peer.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=max_new_tokens,
        min_new_tokens=None if may_stop else max_new_tokens,
        eos_token_id=stop_id,
    )
    return [_until(row, stop_id) for row in written[:, ids.shape[1] :].tolist()]


@torch.inference_mode()
def published_loop(
    peer: Any, prompt: Sequence[int], *, stop_id: int, max_new_tokens: int, may_stop: bool = True
) -> list[int]:
    """Return what the model writes greedily when everything is read again for each id, as `generate`.

    Source: Kyvo's published generation script: batch 1, no cache.
    """
    ids = torch.tensor([list(prompt)])
    for _ in range(max_new_tokens):
        following = peer(ids, use_cache=False).logits[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat((ids, following), 1)
        if may_stop and following.item() == stop_id:
            break
    return _until(ids[0, len(prompt) :].tolist(), stop_id)


def _until(ids: list[int], stop_id: int) -> list[int]:
    return ids[: ids.index(stop_id)] if stop_id in ids else ids
