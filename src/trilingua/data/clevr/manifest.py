"""What a CLEVR data directory was begun with, and what it held when it was finished.

`settings.json` is written first and forbids going on with other settings; `manifest.json` is written last and
holds the digest of every file, so that what is lost or changed can be found and made again.
"""

import json
import re
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any

from tqdm import tqdm

from trilingua.core.errors import InputError
from trilingua.core.io import digest_file, read_json, write_json
from trilingua.data.clevr.layout import KINDS, ClevrLayout


def adopt_settings(layout: ClevrLayout) -> None:
    """Record the settings in the folder, or compare them with those it was begun with.

    Allowed to change are a number of scenes that grows, and records of which there were none.

    Raises:
        InputError: the folder was begun with other settings, or holds other things.
    """
    out = layout.out
    path = out / "settings.json"
    settings = {"version": version("trilingua"), **asdict(layout.config)}
    if path.exists():
        begun = read_json(path)
        for name, value in settings.items():
            old = begun.get(name) if isinstance(begun, dict) else None
            grows = name == "num_scenes" and isinstance(old, int) and old < value
            begins = name.endswith("_per_scene") and old == 0
            if old != value and not grows and not begins:
                raise InputError(
                    f"{out}: was begun with {name} {old!r}, not {value!r}; keep it or choose another --out"
                )
        if begun == settings:
            return
    elif out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty and was not begun by `trilingua data clevr`; choose another --out")
    write_json(path, settings)


def finished_before(layout: ClevrLayout) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the manifest of an equal run that finished here, and its files that are gone or changed since.

    Changed files are removed, so that they are made again.
    """
    path = layout.out / "manifest.json"
    manifest = read_json(path) if path.exists() else None
    if not isinstance(manifest, dict) or manifest.get("settings") != asdict(layout.config):
        return None, []
    broken = []
    for name, digest in tqdm(manifest.get("files", {}).items(), desc="checking", unit="file", disable=None):
        parts = PurePosixPath(name).parts
        if ".." in parts or name.startswith("/"):
            raise InputError(f"{path}: files: {name!r} lies outside the folder; choose another --out")
        file = layout.out.joinpath(*parts)
        if not file.is_file() or digest_file(file) != digest:
            file.unlink(missing_ok=True)
            broken.append(name)
    return manifest, broken


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
        "files": {
            path.relative_to(layout.out).as_posix(): digest_file(path)
            for path in tqdm(paths, desc="digests", unit="file", disable=None)
        },
    }
    write_json(layout.out / "manifest.json", manifest)
    shutil.rmtree(layout.out / "parts", ignore_errors=True)
    return manifest
