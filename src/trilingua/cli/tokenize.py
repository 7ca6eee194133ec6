"""The verb `trilingua tokenize`."""

from pathlib import Path
from typing import Annotated

import tyro


def tokenize(
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA_DIR")],
    *,
    out: Path,
    checkpoint: Path | None = None,
    split: str | None = None,
    augmented_share: float = 0.5,
    num_workers: int | None = None,
    cluster: str | None = None,
) -> None:
    """Write a data directory as shards of ids; shards that exist are kept.

    Example: trilingua tokenize data/train --out shards/train --checkpoint runs/tokenizers

    Args:
        data: CLEVR data directory.
        out: folder for the shards.
        checkpoint: run whose tokenizers and vocabulary to use; the shipped model's by default.
        split: which split of the directory, where it holds several.
        augmented_share: share of the given pictures that are read as another camera might have taken them.
        num_workers: number of processes; by default, one for each usable core.
        cluster: address of a Ray cluster whose machines do the work, or `auto` for the one that this machine has
            joined; needs the extra `[distributed]`, and all folders at the same paths on all machines.
    """
    from functools import partial

    from trilingua import shipped_model
    from trilingua.cli.console import folder_to_write, processes
    from trilingua.data.augment import AugmentConfig
    from trilingua.data.clevr.files import ClevrFolder
    from trilingua.data.tokenize_folder import tokenize_folder
    from trilingua.systems.kyvo.train import shard_tools

    folder_to_write(out)
    run = checkpoint or shipped_model()
    if cluster is not None:  # another machine works in another folder
        data, run = data.absolute(), run.absolute()
    count = tokenize_folder(
        ClevrFolder(data, split=split),
        out,
        make_tools=partial(shard_tools, run),
        augmentation=AugmentConfig(share=augmented_share),
        num_workers=processes(num_workers, cluster),
        cluster=cluster,
    )
    print(f"{out}: {count} scenes")
