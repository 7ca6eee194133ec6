"""What a CLEVR data directory was begun with, and what it held when it was finished.

What may change when work is resumed, which files the manifest names and what it counts; how settings and digests
are kept is in `data/directory.py`.
"""

import json
import re
import shutil
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from trilingua.core.io import write_json
from trilingua.data import directory
from trilingua.data.clevr.layout import KINDS, ClevrLayout


def adopt_settings(layout: ClevrLayout) -> None:
    """Record the settings in the folder, or compare them with those it was begun with.

    Allowed to change are a number of scenes that grows, and records of which there were none.

    Raises:
        InputError: the folder was begun with other settings, or holds other things.
    """

    def may_become(name: str, old: Any, new: Any) -> bool:
        grows = name == "num_scenes" and isinstance(old, int) and old < new
        return grows or (name.endswith("_per_scene") and old == 0)

    directory.adopt_settings(layout.out, asdict(layout.config), command="trilingua data clevr", may_become=may_become)


def finished_before(layout: ClevrLayout) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the manifest of an equal run that finished here, and its files that are gone or changed since.

    Changed files are removed, so that they are made again.
    """
    return directory.finished_before(layout.out, asdict(layout.config))


def belongs_to(kind: str, name: str) -> bool:
    """Return whether the file `name` of a manifest is made together with the records of a kind."""
    return name.endswith(f"_{kind}.json") or (kind == "instructions" and re.search(r"_edit\d+\.png$", name) is not None)


def write_manifest(layout: ClevrLayout) -> dict[str, Any]:
    """Digest every file, write the manifest, drop the parts, and return the manifest."""
    config = layout.config
    indices = range(config.num_scenes)
    counts = {"scenes": config.num_scenes}
    images = [layout.image_path(f"{layout.stem(index)}.png") for index in indices]
    records = []
    for kind in KINDS:
        if getattr(config, f"{kind}_per_scene"):
            records.append(layout.records_path(kind))
            counts[kind] = sum(1 for _ in layout.record_lines(kind))
            if kind == "instructions":
                names = (json.loads(line)["target_image_filename"] for line in layout.record_lines(kind))
                images.extend(layout.image_path(name) for name in names if name is not None)
    counts["images"] = len(images)
    paths = [*records, *map(layout.scene_path, indices), *sorted(images)]
    manifest = {
        "seed": config.seed,
        "version": version("trilingua"),
        "renderer": config.renderer,
        "settings": asdict(config),
        "counts": counts,
        "files": directory.digest_files(layout.out, paths),
    }
    write_json(layout.out / "manifest.json", manifest)
    shutil.rmtree(layout.out / "parts", ignore_errors=True)
    return manifest
