"""Cached, batched, jumping decoding against a loop that re-reads everything for each id."""

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from tests.oracles.decoding import decode_means_slowly, decode_slowly, matches
from torch.nn import functional

from trilingua.core.errors import ConfigError, VocabularyError
from trilingua.inference.decode import decode
from trilingua.inference.grammar import choice, literal, repeat, sequence, token_set
from trilingua.inference.sampling import OrderedIds, Sampling
from trilingua.inference.weights import arrange_for_decoding
from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.nn.embeddings import PlacedVectors

CONFIG = DecoderConfig(num_text=30, dim=32, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8, hidden_dim=48)
STOP = 29
THING = sequence(literal(20, 21), token_set(range(8)), literal(22), token_set(range(8, 20)), token_set(range(8, 20)))
SCENE = sequence(literal(23), repeat(sequence(THING, literal(24)), 1, 3), literal(25))
ANSWERS = choice(literal(1, 2, 3), literal(1, 2, 4), literal(1, 5), literal(1), sequence(literal(6), SCENE))


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG)
    for parameter in decoder.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return decoder.eval()


@pytest.fixture
def decoder_with_codes() -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(dataclasses.replace(CONFIG, num_text=20, num_image_codes=10, image_code_dim=6, seen_dim=6))
    for parameter in decoder.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return decoder.eval()


def prompts(count: int, *, seed: int = 0, length: int | None = None) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 20, (count,), generator=generator).tolist() if length is None else [length] * count
    return [torch.randint(0, 30, (length,), generator=generator).tolist() for length in lengths]


@pytest.mark.parametrize("grammar", [SCENE, ANSWERS, sequence(repeat(token_set(range(15)), 0, 8), literal(7))])
def test_greedy_equals_the_slow_loop(decoder: Decoder, grammar) -> None:  # type: ignore[no-untyped-def]
    tables = grammar.compile(30, stop_id=STOP)
    batch = prompts(4)
    together = decode(decoder, batch, tables)
    for prompt, result in zip(batch, together, strict=True):
        ids, probabilities, _ = decode_slowly(decoder, prompt, grammar, 30, STOP, 60)
        assert result.ids == result.means == ids
        assert result.probabilities == pytest.approx(probabilities, rel=1e-3)
        assert result.finished
        (alone,) = decode(decoder, [prompt], tables)
        assert alone.ids == ids


@pytest.mark.parametrize("places", [{23: 40}, {23: 3, 24: 0, 5: 12}])
def test_ids_with_places_of_their_own_equal_the_slow_loop(decoder: Decoder, places: dict[int, int]) -> None:
    tables = SCENE.compile(30, stop_id=STOP)
    batch = prompts(4, seed=5)
    for prompt, result in zip(batch, decode(decoder, batch, tables, places=places), strict=True):
        ids, probabilities, _ = decode_slowly(decoder, prompt, SCENE, 30, STOP, 60, places=places)
        assert result.ids == ids
        assert result.probabilities == pytest.approx(probabilities, rel=1e-3)


# One prompt may be what the others begin with, and all may be the same.
@pytest.mark.parametrize("endings", [(3, 1, 2, 5), (3, 1, 0, 5), (0, 0, 0, 0)])
@pytest.mark.parametrize("places", [{}, {23: 100, 24: 3}])
def test_what_prompts_begin_with_is_read_once(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, endings: tuple[int, ...], places: dict[int, int]
) -> None:
    tables = SCENE.compile(30, stop_id=STOP)
    beginning, other = prompts(2, seed=3, length=80)
    batch = [beginning + prompt[:count] for prompt, count in zip(prompts(4, seed=4, length=9), endings, strict=True)]
    batch += [other, prompts(1, seed=5)[0], [*other[:70], 1, 2, 3], other[:40]]
    alone = [decode(decoder, [prompt], tables, places=places)[0] for prompt in batch]
    read: list[tuple[int, ...]] = []
    hidden = decoder.hidden
    monkeypatch.setattr(decoder, "hidden", lambda ids, **rest: read.append(tuple(ids.shape)) or hidden(ids, **rest))
    for result, expected in zip(decode(decoder, batch, tables, places=places), alone, strict=True):
        assert result.ids == expected.ids
        assert result.probabilities == pytest.approx(expected.probabilities, rel=1e-3)
    # One group of four and four of one, since only neighbours are read together; then what is left of each prompt,
    # with the three ids that the grammar forces.
    assert read[0] == (5, 82)
    assert read[1] == (len(batch), max(endings) + 3 if max(endings) else 1)


def test_beginnings_with_other_vectors_are_read_apart(decoder_with_codes: Decoder) -> None:
    decoder = decoder_with_codes
    prompt = prompts(1, seed=6, length=80)[0]
    batch = [[*prompt, 1], [*prompt, 2], [*prompt, 3], [*prompt, 4]]
    torch.manual_seed(1)
    some, others = (PlacedVectors(torch.arange(5, 15), torch.randn(10, 6)) for _ in range(2))
    late = PlacedVectors(torch.tensor([80]), torch.randn(1, 6))  # behind what is alike
    none = PlacedVectors(torch.arange(0), torch.randn(0, 6))  # nothing was seen in the picture
    for vectors in (
        [some, some, others, others],
        [None, some, some, None],
        [late, late, late, some],
        [none, none, some, none],
    ):
        together = decode(decoder, batch, vectors=vectors, stop_id=STOP, max_new_tokens=9)
        for ids, own, result in zip(batch, vectors, together, strict=True):
            (alone,) = decode(decoder, [ids], vectors=[own], stop_id=STOP, max_new_tokens=9)
            assert result.ids == alone.ids
            assert result.probabilities == pytest.approx(alone.probabilities, rel=1e-3)


@pytest.mark.parametrize("grammar", [SCENE, ANSWERS])
@pytest.mark.parametrize(
    "ordered",
    [
        OrderedIds(start=8, stop=20),
        OrderedIds(start=8, stop=20, window=3, tolerance=1),
        OrderedIds(start=4, stop=16, window=20, tolerance=2),  # cuts through both sets of ids
    ],
)
def test_numbers_by_their_mean_equal_the_slow_loop(decoder: Decoder, grammar, ordered: OrderedIds) -> None:  # type: ignore[no-untyped-def]
    tables = grammar.compile(30, stop_id=STOP)
    batch = prompts(6, seed=7)
    plain = decode(decoder, batch, tables)
    results = decode(decoder, batch, tables, ordered=ordered)
    for prompt, result in zip(batch, results, strict=True):
        ids, probabilities, means = decode_slowly(decoder, prompt, grammar, 30, STOP, 60, ordered=ordered)
        assert result.ids == ids
        assert result.means == pytest.approx(means, abs=1e-3)
        assert result.probabilities == pytest.approx(probabilities, rel=1e-3)
        assert matches(grammar, result.ids)
    assert (results == plain) == (ordered.window == ordered.tolerance == 0)


@pytest.mark.parametrize("drafted", [False, True])
@pytest.mark.parametrize("grammar", [SCENE, ANSWERS, sequence(literal(4), repeat(token_set(range(15, 26)), 3, 6))])
def test_means_of_codes_equal_the_slow_loop(decoder_with_codes: Decoder, grammar, drafted: bool) -> None:  # type: ignore[no-untyped-def]
    decoder, tables, batch = decoder_with_codes, grammar.compile(30, stop_id=STOP), prompts(6, seed=7)
    decoder.embedding.set_codebook(functional.normalize(torch.randn(10, 6), dim=-1), scale=False)
    plain = decode(decoder, batch, tables)

    def draft(places: Sequence[tuple[int, int]], written: Sequence[Sequence[int]]) -> list[list[int]]:
        likely = [next((r.ids for r in plain if r.ids[: len(ids)] == list(ids)), []) for ids in written]
        return [whole[len(ids) : len(ids) + 3] for whole, ids in zip(likely, written, strict=True)]

    results = decode(decoder, batch, tables, average_codes=True, drafter=draft if drafted else None)
    for prompt, result in zip(batch, results, strict=True):
        ids, means = decode_means_slowly(decoder, prompt, grammar, 30, STOP, 60)
        assert result.ids == ids
        assert sorted(result.vectors) == sorted(means)
        for place, mean in means.items():
            assert torch.allclose(result.vectors[place], mean, atol=1e-4)
    assert grammar is ANSWERS or all(result.vectors for result in results)
    drawn = [
        decode(decoder, batch, tables, average_codes=wanted, sampling=Sampling(temperature=1.0))
        for wanted in (False, True)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("share_wrong", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("max_new_tokens", [None, 7])
@pytest.mark.parametrize("grammar", [SCENE, ANSWERS])
def test_drafts_change_nothing_but_the_number_of_runs(decoder, grammar, max_new_tokens, share_wrong, monkeypatch):  # type: ignore[no-untyped-def]
    tables, batch, ordered = grammar.compile(30, stop_id=STOP), prompts(6), OrderedIds(start=8, stop=20, window=3)
    arguments = {"places": {20: 40, 23: 60}, "ordered": ordered, "max_new_tokens": max_new_tokens}
    plain = decode(decoder, batch, tables, **arguments)
    generator = torch.Generator().manual_seed(3)

    def draft(places: Sequence[tuple[int, int]], written: Sequence[Sequence[int]]) -> list[list[int]]:
        assert len(places) == len(written)
        drafts = []
        for ids in written:
            whole = next(result.ids for result in plain if result.ids[: len(ids)] == list(ids))
            rest = whole[len(ids) : len(ids) + int(torch.randint(0, 9, (), generator=generator))]
            wrong = torch.rand(len(rest), generator=generator) < share_wrong
            drafts.append(
                [int(29 * wrong[k] * torch.rand((), generator=generator)) or rest[k] for k in range(len(rest))]
            )
        return drafts

    runs = []
    hidden = decoder.hidden
    monkeypatch.setattr(decoder, "hidden", lambda ids, **rest: (runs.append(ids.shape), hidden(ids, **rest))[1])
    decode(decoder, batch, tables, **arguments)
    without = len(runs)
    drafted = decode(decoder, batch, tables, drafter=draft, **arguments)
    assert [(result.ids, result.finished) for result in drafted] == [(result.ids, result.finished) for result in plain]
    for one, other in zip(drafted, plain, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-3)
        assert one.means == pytest.approx(other.means, abs=1e-3)
    assert len(runs) - without <= without
    if max_new_tokens is None and not share_wrong:
        assert len(runs) - without < without


def test_samples_and_free_text_are_not_drafted(decoder: Decoder) -> None:
    asked = []

    def draft(places: Sequence[tuple[int, int]], written: Sequence[Sequence[int]]) -> list[list[int]]:
        asked.append(written)
        return [[] for _ in written]

    tables = SCENE.compile(30, stop_id=STOP)
    for sampling, grammar, is_asked in (
        (Sampling(temperature=1.0), tables, False),
        (Sampling(), None, False),
        (Sampling(), tables, True),
    ):
        asked.clear()
        decode(decoder, prompts(2), grammar, drafter=draft, sampling=sampling, max_new_tokens=9, stop_id=STOP)
        assert bool(asked) == is_asked


def test_samples_are_not_averaged(decoder: Decoder) -> None:
    tables = SCENE.compile(30, stop_id=STOP)
    drawn = [
        decode(
            decoder,
            prompts(6),
            tables,
            sampling=Sampling(temperature=1.0),
            ordered=OrderedIds(start=8, stop=20, window=window, tolerance=2),
        )
        for window in (0, 12)
    ]
    assert drawn[0] == drawn[1]


def test_free_greedy_equals_transformers(decoder: Decoder, tmp_path) -> None:  # type: ignore[no-untyped-def]
    transformers = pytest.importorskip("transformers")
    from trilingua.models.llama_weights import export_llama

    export_llama(decoder, tmp_path, stop_id=STOP, pad_id=0)
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    for prompt in prompts(4, seed=1):
        ids = torch.tensor([prompt])
        expected = peer.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=25, do_sample=False)
        written = expected[0, len(prompt) :].tolist()
        (result,) = decode(decoder, [prompt], stop_id=STOP, max_new_tokens=25)
        assert result.ids == (written[:-1] if written[-1] == STOP else written)
        assert result.finished == (written[-1] == STOP)


@pytest.mark.parametrize("seed", range(5))
def test_samples_are_sentences_whatever_the_weights(decoder: Decoder, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in decoder.parameters():
        parameter.data.normal_(std=3.0)
    tables = ANSWERS.compile(30, stop_id=STOP)
    sampling = Sampling(temperature=2.0, top_p=0.95, seed=seed)
    results = decode(decoder, prompts(12, seed=seed), tables, sampling=sampling)
    assert decode(decoder, prompts(12, seed=seed), tables, sampling=sampling) == results
    for result in results:
        assert matches(ANSWERS, result.ids)
        assert len(result.ids) == len(result.probabilities)
        assert all(0 <= probability <= 1.0001 for probability in result.probabilities)
    assert len({tuple(result.ids) for result in results}) > 1


def test_forced_ids_have_probability_one(decoder: Decoder) -> None:
    (result,) = decode(decoder, [[1, 2]], SCENE.compile(30, stop_id=STOP))
    assert result.ids[:3] == [23, 20, 21]
    assert result.probabilities[:3] == [1.0, 1.0, 1.0]
    assert result.probabilities[3] < 1.0
    (result,) = decode(decoder, [[1]], literal(4, 5).compile(30, stop_id=STOP))
    assert (result.ids, result.probabilities, result.finished) == ([4, 5], [1.0, 1.0], True)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 9])
def test_the_limit_cuts_the_full_result(decoder: Decoder, limit: int) -> None:
    tables = SCENE.compile(30, stop_id=STOP)
    batch = prompts(3)
    for short, full in zip(
        decode(decoder, batch, tables, max_new_tokens=limit), decode(decoder, batch, tables), strict=True
    ):
        assert short.ids == full.ids[:limit]
        assert short.probabilities == pytest.approx(full.probabilities[:limit], rel=1e-3)
        assert short.finished == (limit > len(full.ids))


def test_arranged_weights_write_the_same(decoder: Decoder) -> None:
    tables = SCENE.compile(30, stop_id=STOP)
    batch = prompts(5)
    before = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    expected = decode(decoder, batch, tables)
    arranged = arrange_for_decoding(decoder)
    assert [result.ids for result in decode(arranged, batch, tables)] == [result.ids for result in expected]
    assert all(torch.equal(before[name], tensor) for name, tensor in decoder.state_dict().items())
    assert next(decoder.parameters()).requires_grad


@pytest.mark.parametrize("rows", [1, 3])
def test_arranged_weights_write_under_autocast(decoder: Decoder, rows: int) -> None:
    arranged = arrange_for_decoding(decoder)
    with torch.autocast("cpu", torch.bfloat16):
        written = decode(arranged, [[1, 2, 3]] * rows, max_new_tokens=4, stop_id=0)
    assert len(written) == rows


def test_no_prompts_give_no_results(decoder: Decoder) -> None:
    assert decode(decoder, [], stop_id=STOP, max_new_tokens=3) == []


def test_errors_say_what_is_allowed(decoder: Decoder) -> None:
    tables = SCENE.compile(30, stop_id=STOP)
    with pytest.raises(ConfigError, match="prompt 1: is empty; expected at least one id"):
        decode(decoder, [[1], []], tables)
    with pytest.raises(VocabularyError, match="prompt 0: id 30 lies outside the decoder's vocabulary of 30 ids"):
        decode(decoder, [[1, 30]], tables)
    with pytest.raises(VocabularyError, match="grammar: made for 31 ids, the decoder has 30"):
        decode(decoder, [[1]], SCENE.compile(31, stop_id=STOP))
    with pytest.raises(ConfigError, match="stop_id: 3, but the grammar ends with 29"):
        decode(decoder, [[1]], tables, stop_id=3)
    with pytest.raises(ConfigError, match="stop_id: None; expected an id from 0 to 29"):
        decode(decoder, [[1]], max_new_tokens=3)
    with pytest.raises(ConfigError, match="max_new_tokens: None; expected at least 1"):
        decode(decoder, [[1]], stop_id=STOP)
