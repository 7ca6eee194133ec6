"""What is drafted while an object is recognized."""

import pytest
import torch

from trilingua.models.decoder import Decoder, DecoderConfig
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.systems.kyvo.drafts import DraftHead, ObjectDrafter
from trilingua.systems.kyvo.probes import object_probe
from trilingua.tokenizers.scenes import NumberedScene

BALL = SceneObject(shape="sphere", size="small", color="cyan", material="rubber", location=(1.0, -2.0, 0.35))
CUBE = SceneObject(shape="cube", size="large", color="red", material="metal", location=(-1.0, 0.5, 0.7))
OPENED = 4
"""Ids of an object up to and with its x and y."""


@pytest.fixture
def drafter(tiny_tokenizers):
    """A drafter whose head takes each state's first number for the object: below 0 the ball, else the cube."""
    schema, scenes = tiny_tokenizers.schema, tiny_tokenizers.sequences.scenes
    decoder = Decoder(DecoderConfig(num_text=9, dim=8, num_layers=2, num_heads=1, num_kv_heads=1, head_dim=8))
    head = DraftHead(layer=1, probe=object_probe(8, schema))
    weight, bias = head.probe.output.weight.data, head.probe.output.bias.data
    begin = schema.max_objects
    for category in schema.categories:
        weight[begin + category.values.index(getattr(BALL, category.name)), 0] = -1
        weight[begin + category.values.index(getattr(CUBE, category.name)), 0] = 1
        begin += len(category.values)
    places = torch.tensor([BALL.location, CUBE.location])
    weight[begin : begin + 3, 0], bias[begin : begin + 3] = (places[1] - places[0]) / 2, places.mean(0)
    drafter = ObjectDrafter(head, decoder, scenes)
    decoder.layers[1].forward = lambda x, *_: x
    states = torch.zeros(2, 3, 8)
    states[0, 1, 0], states[1, 2, 0] = -1, 1
    decoder.layers[1](states)
    return drafter


def ids_of(tiny_tokenizers, item, number):
    return tiny_tokenizers.sequences.scenes.tokenize(NumberedScene(Scene(objects=(item,)), (number,)))[1:-1]


@pytest.mark.parametrize("written", range(OPENED, 15))
def test_the_rest_of_an_object_and_the_next_opening_are_drafted(drafter, tiny_tokenizers, written):
    starts = tiny_tokenizers.sequences.scenes.starts
    before = ids_of(tiny_tokenizers, CUBE, 1)
    ball, cube = ids_of(tiny_tokenizers, BALL, 2), ids_of(tiny_tokenizers, CUBE, 3)
    drafts = drafter([(0, 1), (1, 2)], [[*before, *ball[:written]], cube[:written]])
    assert drafts == [[*ball[written:], starts[2]], [*cube[written:], starts[3]]]


def test_what_is_written_stays_as_it_is(drafter, tiny_tokenizers):
    ball, cube = ids_of(tiny_tokenizers, BALL, 1), ids_of(tiny_tokenizers, CUBE, 1)
    assert drafter([(1, 2)], [ball[:OPENED]]) == [[*cube[OPENED:], tiny_tokenizers.sequences.scenes.starts[1]]]


@pytest.mark.parametrize("written", range(OPENED))
def test_nothing_is_drafted_before_a_place_is_written(drafter, tiny_tokenizers, written):
    begun = ids_of(tiny_tokenizers, BALL, 2)[:written]
    before = ids_of(tiny_tokenizers, CUBE, 1) if written else []
    assert drafter([(0, 0)], [[*before, *begun]]) == [[]]


def test_nothing_follows_the_last_object(drafter, tiny_tokenizers):
    most = tiny_tokenizers.schema.max_objects
    ball = ids_of(tiny_tokenizers, BALL, most)
    assert drafter([(0, 1)], [ball[:OPENED]]) == [ball[OPENED:]]
    assert drafter([(0, 1)], [ball]) == [[]]
