"""An exported run in `transformers`: the same logits, the same greedy scene."""

import dataclasses

import pytest
import torch

import trilingua
from trilingua.cli.main import run
from trilingua.core.random import make_generator
from trilingua.data.clevr.files import ClevrFolder
from trilingua.data.clevr.placement import sample_scene
from trilingua.data.renderers.builtin import BuiltinRenderer
from trilingua.systems.kyvo.build import load_decoder, load_tokenizers
from trilingua.systems.kyvo.pipeline import Kyvo


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
def test_greedy_continuation_is_the_scene_that_we_recognize(peer, tiny_run, tiny_data):
    """Under the same grammar: positions run on in a scene that follows a picture, as `transformers` counts them."""
    tiny_model = Kyvo.load(tiny_run, read_codes=True, average_numbers=False)
    folder = ClevrFolder(tiny_data)
    picture = folder.image(folder.scene(0).image_filename)
    prompt = tiny_model.tokenize("recognition", image=picture)
    grammar = tiny_model.grammar("recognition")

    def allowed(_, ids):
        state = 0
        for token in ids[len(prompt) :].tolist():
            state = grammar.advance(state, token)
        return list(grammar.members[max(grammar.set_of_state[state], 0)])

    written = peer.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=grammar.longest,
        do_sample=False,
        eos_token_id=grammar.stop_id,
        prefix_allowed_tokens_fn=allowed,
    )[0, len(prompt) :].tolist()
    assert len(written) > 10
    theirs = tiny_model.detokenize("recognition", written)
    assert theirs["problems"] == []
    ours = tiny_model.recognize(picture)
    assert theirs["scene"].objects == tuple(dataclasses.replace(item, score=None) for item in ours.objects)


@torch.no_grad()
def test_the_shipped_export_decodes_freely_to_what_we_recognize_without_the_grammar(tmp_path):
    transformers = pytest.importorskip("transformers")
    out = tmp_path / "hf"
    assert run(["export", "--format", "hf", "--out", str(out)]) == 0
    peer = transformers.LlamaForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    model, renderer = trilingua.load(), BuiltinRenderer()
    scene, view = sample_scene(make_generator(3_000, "export", 0), renderer)
    picture = renderer.render(scene, view).image
    prompt = torch.tensor([model.tokenize("recognition", image=picture)])
    ids = peer.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=250, do_sample=False)
    theirs = model.detokenize("recognition", ids[0].tolist())
    ours = model.recognize(picture, constrained=False)
    assert len(ours.objects) >= 3
    assert theirs["scene"].objects == tuple(dataclasses.replace(item, score=None) for item in ours.objects)
