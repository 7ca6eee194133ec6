"""An exported run in `transformers`: the same logits, the same greedy scene."""

import pytest
import torch

from trilingua.cli.main import run
from trilingua.data.clevr.files import ClevrFolder
from trilingua.systems.kyvo.build import load_decoder, load_tokenizers


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "hf"
    assert run(["export", str(tiny_run), "--format", "hf", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def peer(exported):
    transformers = pytest.importorskip("transformers")
    return transformers.LlamaForCausalLM.from_pretrained(exported, dtype=torch.float32).eval()


def test_what_is_written(exported, tiny_model):
    assert sorted(path.name for path in exported.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "trilingua",
    ]
    assert {path.name for path in (exported / "trilingua").iterdir()} >= {"text.json", "vocabulary.json"}


@torch.no_grad()
def test_logits_are_ours(peer, tiny_run, tiny_model):
    _, decoder = load_decoder(tiny_run, load_tokenizers(tiny_run))
    size = tiny_model.sequences.vocabulary.size
    ids = torch.randint(size, (2, 300), generator=torch.Generator().manual_seed(5))
    ours, theirs = decoder(ids), peer(ids).logits
    assert ours.shape == theirs.shape == (2, 300, size)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)


@torch.no_grad()
def test_greedy_continuation_is_the_scene_that_we_recognize(peer, tiny_model, tiny_data):
    folder = ClevrFolder(tiny_data)
    picture = folder.image(folder.scene(0).image_filename)
    prompt = tiny_model.tokenize("recognition", image=picture)
    codes = tiny_model._encode([picture])[0]
    (ours,) = tiny_model.decode_task("recognition", [{"image": codes}], constrained=False)
    most = min(len(ours.ids) + 1, 120)
    theirs = peer.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), max_new_tokens=most
    )[0, len(prompt) :].tolist()
    end = tiny_model.sequences.vocabulary.end_id
    theirs = theirs[: theirs.index(end)] if end in theirs else theirs
    assert theirs == ours.ids[: len(theirs)]
    assert len(theirs) == min(len(ours.ids), most)
    if most > len(ours.ids):
        scene = tiny_model.detokenize("recognition", theirs)["scene"]
        assert [item.location for item in scene.objects] == [
            item.location for item in tiny_model.recognize(picture, constrained=False).objects
        ]
