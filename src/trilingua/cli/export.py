"""The verb `trilingua export`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def export(
    run: Annotated[Path | None, tyro.conf.Positional] = None, *, out: Path, format: Literal["hf"] = "hf"
) -> None:
    """Write a run's decoder as a plain Llama checkpoint that `transformers` loads.

    Numbers, projector and codebook are folded into one embedding table. The vocabulary and the text and image
    tokenizers are written beside it.

    Example: trilingua export --format hf --out exported

    Args:
        run: run directory; the shipped model by default.
        out: folder for the checkpoint.
        format: `hf`: config.json and model.safetensors of a `LlamaForCausalLM`.
    """
    del format  # One so far.
    from trilingua import shipped_model
    from trilingua.models.llama_weights import export_llama
    from trilingua.systems.kyvo.build import load_decoder, load_tokenizers, write_tokenizer_files

    source = run or shipped_model()
    tokenizers = load_tokenizers(source)
    _, decoder = load_decoder(source, tokenizers)
    vocabulary = tokenizers.vocabulary
    export_llama(
        decoder,
        out,
        start_id=vocabulary.begin_id,
        stop_id=vocabulary.end_id,
        pad_id=vocabulary.marker("[PAD]"),
    )
    write_tokenizer_files(out / "trilingua", tokenizers)
    print(out)
