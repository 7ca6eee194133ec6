"""The verb `trilingua export`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro


def export(
    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None,
    *,
    out: Path,
    format: Literal["hf", "run"] = "hf",
) -> None:
    """Write a run in another form: a plain Llama checkpoint that `transformers` loads, or a slim run to share.

    For `transformers`, numbers, projector and codebook are folded into one embedding table; the vocabulary and
    the text tokenizer are written beside it. A slim run is in half precision and holds what `trilingua.load` needs,
    without the state of training.

    The Llama decodes as `model = trilingua.load(RUN)` does without a grammar: from the ids of
    `model.tokenize("recognition", image=image)`, plain greedy `generate` writes the scene that
    `model.recognize(image, constrained=False)` returns. The other tasks need `position_ids`, since their segments
    have positions of their own; docs/cookbook.md shows both.

    Example: trilingua export --format hf --out exported

    Args:
        run: run directory; the shipped model by default.
        out: folder for the checkpoint.
        format: `hf`: config.json and model.safetensors of a `LlamaForCausalLM`; `run`: a slim run directory.
    """
    from trilingua import shipped_model
    from trilingua.cli.console import folder_to_write, say
    from trilingua.models.llama_weights import export_llama
    from trilingua.systems.kyvo.build import load_decoder, load_tokenizers, write_slim_run, write_tokenizer_files

    folder_to_write(out)
    source = run or shipped_model()
    tokenizers = load_tokenizers(source)
    config, decoder = load_decoder(source, tokenizers)
    if format == "run":
        write_slim_run(out, tokenizers, config, decoder)
        print(out)
        return
    vocabulary = tokenizers.vocabulary
    export_llama(
        decoder,
        out,
        start_id=vocabulary.begin_id,
        stop_id=vocabulary.end_id,
        pad_id=vocabulary.marker("[PAD]"),
    )
    write_tokenizer_files(out / "trilingua", tokenizers)
    say(
        'greedy `generate` from model.tokenize("recognition", image=image) gives model.recognize(image, '
        "constrained=False); other tasks need position_ids (docs/cookbook.md)"
    )
    print(out)
