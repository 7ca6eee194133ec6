"""The verb `trilingua tokenize`."""

from pathlib import Path
from typing import Annotated

import tyro


def tokenize(
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA_DIR")],
    *,
    out: Path,
    checkpoint: Path | None = None,
) -> None:
    """Write a data directory as shards of ids; shards that exist are kept.

    Example: trilingua tokenize data/train --out shards/train --checkpoint runs/tokenizers

    Args:
        data: CLEVR data directory.
        out: folder for the shards.
        checkpoint: run whose tokenizers and vocabulary to use; the shipped model's by default.
    """
    from tqdm import tqdm

    from trilingua import shipped_model
    from trilingua.cli.console import folder_to_write
    from trilingua.data.clevr.files import ClevrFolder
    from trilingua.data.tokenize import tokenize_folder
    from trilingua.systems.kyvo.build import load_tokenizers
    from trilingua.systems.kyvo.train import index_maps

    folder_to_write(out)
    folder = ClevrFolder(data)
    tokenizers = load_tokenizers(checkpoint or shipped_model())
    with tqdm(total=len(folder), desc="tokenize", disable=None) as bar:

        def advance(number: int) -> None:
            bar.update(number)

        count = tokenize_folder(
            folder,
            out,
            images=tokenizers.images,
            sequences=tokenizers.sequences,
            index_map=index_maps(),
            progress=advance,
        )
    print(f"{out}: {count} scenes")
