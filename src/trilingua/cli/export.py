"""The verb `trilingua export`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from trilingua.core.errors import InputError
from trilingua.core.io import kind_of

Format = Literal["hf", "run"]


def export(
    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None,
    *,
    out: Path,
    format: Format = "hf",
) -> None:
    """Write a run in another form: a plain Llama checkpoint that `transformers` loads, or a slim run to share.

    For `transformers`, numbers, projector and codebook are folded into one embedding table; the vocabulary and
    the text tokenizer are written beside it. A slim run is in half precision and holds what `trilingua.load` and
    training further from it need, without the state of training. A shape tokenizer has the slim form alone
    (`--format run`).

    The Llama decodes as `model = trilingua.load(RUN)` does without a grammar: from the ids of
    `model.tokenize("recognition", image=image)`, plain greedy `generate` writes the scene that
    `model.recognize(image, constrained=False)` returns. The other tasks need `position_ids`, since their segments
    have positions of their own; docs/cookbook.md shows both.

    Example: trilingua export --format hf --out exported
             trilingua export runs/shape-set --format run --out shape-set

    Args:
        run: run directory; the shipped model by default.
        out: folder for the checkpoint.
        format: `hf`: config.json and model.safetensors of a `LlamaForCausalLM`; `run`: a slim run directory.
    """
    from trilingua import shipped_model
    from trilingua.cli.console import folder_to_write
    from trilingua.systems.shapes.build import is_shape_run

    source = run or shipped_model()
    shapes = is_shape_run(source)
    if shapes and format != "run":
        raise InputError(f"{source}: is a shape tokenizer, which is no Llama; pass --format run")
    if kind_of(out) == "folder" and out.samefile(source):
        raise InputError(f"{out}: is the run itself; choose another --out")
    folder_to_write(out)
    if shapes:
        _export_shapes(source, out)
    else:
        _export_kyvo(source, out, format)
    print(out)


def _export_shapes(source: Path, out: Path) -> None:
    from trilingua.systems.shapes.build import load_tokenizer, write_slim_run

    write_slim_run(out, *load_tokenizer(source))


def _export_kyvo(source: Path, out: Path, format: Format) -> None:
    from trilingua.cli.console import say
    from trilingua.models.llama_weights import export_llama
    from trilingua.systems.kyvo.build import (
        load_decoder,
        load_tokenizers,
        read_probes,
        write_slim_run,
        write_tokenizer_files,
    )

    tokenizers = load_tokenizers(source)
    config, decoder = load_decoder(source, tokenizers)
    if format == "run":
        write_slim_run(out, tokenizers, config, decoder, read_probes(source))
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
