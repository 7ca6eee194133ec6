"""`trilingua info` on runs of both stages and on presets."""

import json
import resource

import pytest
from safetensors.torch import load_file

from trilingua.cli.main import run
from trilingua.core.config import to_json
from trilingua.core.presets import describe_preset, get_preset, preset_names
from trilingua.data.clevr.files import ClevrFolder
from trilingua.scenes.scene import Scene
from trilingua.systems.kyvo.config import KyvoConfig
from trilingua.tokenizers.sequences import TASKS


def info(capsys, name):
    assert run(["info", str(name)]) == 0
    return capsys.readouterr().out.splitlines()


def under(lines, title):
    """Return the line that begins with a title, and the indented ones below it."""
    first = next(index for index, line in enumerate(lines) if line.split()[0] == title and line[0] != " ")
    last = next((index for index in range(first + 1, len(lines)) if lines[index][0] != " "), len(lines))
    return lines[first], lines[first + 1 : last]


def titles(lines):
    return [line.split()[0] for line in lines if line[0] != " "]


def test_a_run_of_each_stage_is_described(tiny_tokenizers_run, tiny_run, tiny_model, capsys):
    tokenizers, decoder = info(capsys, tiny_tokenizers_run), info(capsys, tiny_run)
    assert titles(tokenizers) == ["run", "weights", "vocabulary", "lengths", "images"]
    assert titles(decoder) == [*titles(tokenizers), "decoder", "pictures", "speed", "memory"]
    vocabulary = tiny_model.sequences.vocabulary
    for lines, folder in ((tokenizers, tiny_tokenizers_run), (decoder, tiny_run)):
        assert lines[0] == f"run         {folder}"
        first, spans = under(lines, "vocabulary")
        assert first == f"vocabulary  {vocabulary.size} ids, digest {vocabulary.digest[:12]}"
        found = [(words[0], int(words[1]), int(words[3]), int(words[4])) for words in map(str.split, spans)]
        assert found == [(span.name, span.start, span.stop - 1, span.size) for span in vocabulary.spans]
        assert any(line.startswith("images ") and "64 x 64 pixels -> 16 codes of 64" in line for line in lines)
    parameters = sum(parameter.numel() for parameter in tiny_model.decoder.parameters()) / 1e6
    assert any(line.startswith(f"decoder     {parameters:.2f} M parameters, 2 layers of 64") for line in decoder)


def test_the_lengths_of_a_run_are_those_of_its_longest_sequences(tiny_run, tiny_model, tiny_data, capsys):
    first, tasks = under(info(capsys, tiny_run), "lengths")
    assert first == "lengths     picture 22, scene of 10 objects 142; prompt -> prediction, at most"
    given, predicted = {}, {}
    for line in tasks:
        name, lengths = line.split(maxsplit=1)
        given[name], predicted[name] = lengths.split(" -> ")
    assert list(given) == list(TASKS)
    folder = ClevrFolder(tiny_data)
    scene = Scene(objects=folder.scene(0).objects[:1] * 10)
    values = {"image": folder.image(folder.scene(0).image_filename), "scene": scene}
    words = "How many things?"
    values |= {"instruction": words, "question": words}
    for task in TASKS.values():
        number, *texts = given[task.name].split(" + ")
        prompt = tiny_model.tokenize(task.name, **{segment.name: values[segment.name] for segment in task.given})
        assert len(prompt) == int(number) + len(texts) * len(tiny_model.sequences.text.tokenize(words))
    for name in ("recognition", "rendering"):
        assert predicted[name] == str(tiny_model.grammar(name).longest)
    assert predicted["editing"].endswith(" + reference")
    assert predicted["qa"] == "5 + program + answer"


@pytest.mark.parametrize("name", [name for name in preset_names() if name.startswith("kyvo")])
def test_a_preset_is_described_without_its_memory(name, capsys):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = info(capsys, name)
    assert lines[0] == f"{name}: {describe_preset(name)}"
    start = lines.index("{")
    assert json.loads("\n".join(lines[start:])) == to_json(get_preset(name))
    facts = lines[1:start]
    second = isinstance(get_preset(name), KyvoConfig)
    expected = ["vocabulary", "lengths", "images", "memory", "speed"]
    if second:
        expected = ["tokenizers", *expected[:3], "decoder", *expected[3:]]
    assert titles(facts) == expected
    assert facts[-1] == "speed       is measured on a run: trilingua info RUN"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB; `kyvo-paper` has 24 GB


def test_the_papers_sizes_are_counted(capsys):
    lines = info(capsys, "kyvo-paper")
    assert "tokenizers  those of kyvo-clevr-tokenizers are assumed; the run that --tokenizers names decides" in lines
    num_ids, dim = 128_256 + 92 + 121 + 1024, 2048
    assert under(lines, "vocabulary") == (
        f"vocabulary  {num_ids} ids, with the text's of the backbone",
        [
            "  text           0 .. 128255 128256 ids",
            "  markers   128256 .. 128347     92 ids",
            "  numbers   128348 .. 128468    121 ids",
            "  image     128469 .. 129492   1024 ids",
        ],
    )
    attention, mlp, norms = dim * (2 * dim + 2 * 8 * 64), 3 * dim * 8192, 2 * dim
    # Codes have a projector in place of rows.
    ends = 2 * num_ids * dim - 1024 * dim + dim * 64 + 2 * dim**2 + dim
    count = 16 * (attention + mlp + norms) + ends
    assert f"decoder     {count / 1e6:.2f} M parameters, 16 layers of 2048, at most 131072 ids together" in lines
    first, parts = under(lines, "memory")
    sizes = [float(line.split()[1]) for line in parts]
    assert parts == [f"  {part:<12} {size:.1f} MB float32" for part, size in zip(
        ("weights", "gradients", "optimizer"), sizes, strict=True)]  # fmt: skip
    buffers = 1024 * 64 + 121 * dim  # the codebook, and sines and cosines of the numbers
    assert sizes == pytest.approx([(count + buffers) * 4e-6, count * 4e-6, count * 8e-6], abs=0.06)
    assert first == f"memory      {(count * 4 + buffers) * 4e-6:.1f} MB to train, beside activations"


def test_the_optimizers_memory_is_what_a_run_saves(tiny_run, tiny_model, capsys):
    """Muon keeps one number where AdamW keeps two, and average weights are kept beside: no rule is written twice."""
    _, parts = under(info(capsys, "kyvo-tiny"), "memory")
    checkpoint = max((tiny_run / "state").iterdir())
    held = sum(tensor.nbytes for tensor in load_file(checkpoint / "optimizer.safetensors").values())
    unlearnt = 512 - tiny_model.sequences.vocabulary.span("text").size
    expected = held + unlearnt * 64 * 2 * 2 * 4  # rows of embedding and head, two moments each
    assert parts[2] == f"  optimizer    {expected / 1e6:.1f} MB float32"
    clevr = {line.split()[0]: float(line.split()[1]) for line in under(info(capsys, "kyvo-clevr"), "memory")[1]}
    assert clevr["gradients"] == clevr["average"]
    assert clevr["gradients"] < clevr["optimizer"] < 2 * clevr["gradients"]
