"""`trilingua info` on runs of both stages."""

from trilingua.cli.main import run


def test_a_run_of_each_stage_is_described(tiny_tokenizers_run, tiny_run, tiny_model, capsys):
    assert run(["info", str(tiny_tokenizers_run)]) == 0
    tokenizers = capsys.readouterr().out.splitlines()
    assert run(["info", str(tiny_run)]) == 0
    decoder = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in tokenizers]
    assert names == [line.split()[0] for line in decoder[: len(names)]]
    assert [line.split()[0] for line in decoder[len(names) :]] == ["decoder", "pictures", "tasks", "speed", "memory"]
    vocabulary = tiny_model.sequences.vocabulary
    for lines in (tokenizers, decoder):
        assert f"vocabulary  {vocabulary.size} ids, digest {vocabulary.digest[:12]}" in lines
        assert any(line.startswith("images ") and "64 x 64 pixels -> 16 codes of 64" in line for line in lines)
    parameters = sum(parameter.numel() for parameter in tiny_model.decoder.parameters()) / 1e6
    assert any(line.startswith(f"decoder     {parameters:.2f} M parameters, 2 layers of 64") for line in decoder)
