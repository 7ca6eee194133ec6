"""Codes come back from JSON as they were; what another tokenizer wrote, or nobody, is refused in one line."""

import json

import pytest
import torch

from trilingua.core.errors import InputError, VocabularyError
from trilingua.geometry.meshes import Frame
from trilingua.tokenizers.shapes.codes import Block, CodeLayout, ShapeCode

IDS = CodeLayout(
    kind="set",
    weights="w",
    blocks=(Block(size=1, dim=4, vocabulary=10), Block(size=3, dim=4, vocabulary=10)),
)
LATENTS = CodeLayout(kind="set", weights="w", blocks=(Block(size=None, dim=2, vocabulary=None),))
FRAME = Frame(center=(0.5, -2.0, 1e6), scale=0.125)


def code(layout=IDS):
    blocks = (torch.tensor([7]), torch.tensor([0, 9, 3]))
    if layout is LATENTS:
        blocks = (torch.randn(5, 2).half().float(),)
    return ShapeCode(layout=layout, blocks=blocks, frame=FRAME)


@pytest.mark.parametrize("layout", [IDS, LATENTS])
def test_a_code_comes_back(layout):
    written = code(layout)
    again = ShapeCode.from_json(json.loads(json.dumps(written.to_json())), layout, "a.json")
    assert all(torch.equal(one, other) for one, other in zip(written.blocks, again.blocks, strict=True))
    assert [block.dtype for block in again.blocks] == [block.dtype for block in written.blocks]
    assert (again.frame, again.layout) == (FRAME, layout)
    assert written.num_bytes_of_latents() == (20 if layout is LATENTS else 0)


def test_a_layout_is_known_by_everything_that_codes_mean():
    assert IDS.num_ids == [1, 3]
    assert IDS.vocabularies == [10, 10]
    assert LATENTS.num_ids == []
    others = [
        CodeLayout(kind="voxel", weights="w", blocks=IDS.blocks),
        CodeLayout(kind="set", weights="v", blocks=IDS.blocks),
        CodeLayout(kind="set", weights="w", blocks=IDS.blocks[::-1]),
        CodeLayout(kind="set", weights="w", blocks=(IDS.blocks[0], Block(size=3, dim=4, vocabulary=11))),
    ]
    assert len({layout.digest for layout in [IDS, *others]}) == 5
    assert hash(IDS) == hash(CodeLayout(kind="set", weights="w", blocks=IDS.blocks))
    with pytest.raises(VocabularyError) as caught:
        ShapeCode.from_json(code().to_json(), others[1], "a.json")
    assert str(caught.value) == (
        f"a.json: layout {IDS.digest[:12]} is not {others[1].digest[:12]}, the tokenizer's; "
        "decode with the tokenizer that wrote it"
    )


FRAME_FORM = "expected center, three numbers, and scale, one, all at most 2e+09"


@pytest.mark.parametrize(
    ("layout", "changes", "message"),
    [
        (IDS, {"codes": [[7]]}, "codes: 1 blocks; expected 2"),
        (IDS, {"codes": 3}, "codes: no blocks; expected 2"),
        (IDS, {"codes": [[7], [0, 9]]}, "codes[1]: has the shape [2]; expected 3 ids"),
        (IDS, {"codes": [[7], [0, 10, 3]]}, "codes[1]: has an id outside of [0, 10); expected 3 ids"),
        (IDS, {"codes": [[-1], [0, 9, 3]]}, "codes[0]: has an id outside of [0, 10); expected 1 ids"),
        (IDS, {"codes": [[7], [0, 0.5, 3]]}, "codes[1]: has an id outside of [0, 10); expected 3 ids"),
        (IDS, {"codes": [[7], [0, [1], 3]]}, "codes[1]: is no list of that form; expected 3 ids"),
        (IDS, {"codes": [[7], ["a", "b", "c"]]}, "codes[1]: has an id outside of [0, 10); expected 3 ids"),
        (LATENTS, {"codes": [[]]}, "codes[0]: has the shape [0]; expected 1 or more latents of 2 numbers"),
        (LATENTS, {"codes": [[[1, 2, 3]]]}, "codes[0]: has the shape [1, 3]; expected 1 or more latents of 2 numbers"),
        (
            LATENTS,
            {"codes": [[[1, float("nan")]]]},
            "codes[0]: has a number that is not finite or too large; expected 1 or more latents of 2 numbers",
        ),
        (IDS, {"frame": None}, f"frame: None is not allowed; {FRAME_FORM}"),
        (IDS, {"frame": {"center": [0, 0], "scale": 1}},
         f"frame: {{'center': [0, 0], 'scale': 1}} is not allowed; {FRAME_FORM}"),
        (IDS, {"frame": {"center": [0, 0, 0], "scale": 0}}, "frame.scale: 0 is not allowed; expected a number above 0"),
        (IDS, {"frame": {"center": [0, 0, float("nan")], "scale": 1}},
         f"frame: {{'center': [0, 0, nan], 'scale': 1}} is not allowed; {FRAME_FORM}"),
    ],
)  # fmt: skip
def test_files_that_hold_no_code_are_refused_in_words(layout, changes, message):
    with pytest.raises(InputError) as caught:
        ShapeCode.from_json(code(layout).to_json() | changes, layout, "a.json")
    assert str(caught.value) == f"a.json: {message}"


@pytest.mark.parametrize("value", [[], "codes", {"codes": [], "frame": {}}])
def test_other_json_is_refused_in_words(value):
    with pytest.raises(InputError) as caught:
        ShapeCode.from_json(value, IDS, "a.json")
    assert str(caught.value) == "a.json: expected an object with the fields layout, codes and frame"
