"""The shape tokenizer that comes with the package: it loads, keeps its budget, and gives objects back."""

import numpy as np
import pytest
import torch

import trilingua
from trilingua.core.errors import InputError
from trilingua.data.shapes.procedural import ProceduralShapes
from trilingua.metrics.codes import bytes_per_object
from trilingua.systems.shapes.evaluate import compare_surfaces

NUM_OBJECTS = 4


@pytest.fixture(scope="module")
def model():
    return trilingua.load_shapes()


@pytest.fixture(scope="module")
def meshes():
    """Objects that nobody has trained on."""
    source = ProceduralShapes(num_objects=NUM_OBJECTS, seed=2_000, split="shipped")
    return [source.load(index).mesh for index in range(NUM_OBJECTS)]


@pytest.fixture(scope="module")
def codes(model, meshes):
    return [model.encode(mesh) for mesh in meshes]


def test_weights_and_codes_keep_their_budgets(model):
    folder = trilingua.shipped_folder() / "shape-set"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6
    assert '"data": ""' in (folder / "config.json").read_text()
    assert bytes_per_object(model.layout.num_ids, model.layout.vocabularies) <= 1024


def test_objects_come_back_where_they_were(model, meshes, codes):
    scores = []
    for mesh, code in zip(meshes, codes, strict=True):
        decoded = model.decode(code, resolution=64)
        np.testing.assert_allclose(decoded.bounds, mesh.bounds, atol=0.1 * np.ptp(mesh.bounds))
        found = compare_surfaces(code.frame.normalize(decoded), code.frame.normalize(mesh))
        scores.append(found["f_score_0.02"])
    assert np.mean(scores) > 0.6


def test_more_scales_tell_more(model, codes):
    points = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for code in codes:
        whole = model.field(code).values(points) > 0
        agreement = [
            float(((model.field(code, scales=scales).values(points) > 0) == whole).float().mean())
            for scales in (1, model.num_scales - 1)
        ]
        assert agreement[1] > agreement[0]


def test_codes_differ_as_objects_do(codes):
    assert all((first != second).float().mean() > 0.5 for first, second in zip(
        codes[0].blocks[-1:], codes[1].blocks[-1:], strict=True))  # fmt: skip


def test_a_tokenizer_that_there_is_not_is_named():
    with pytest.raises(InputError) as caught:
        trilingua.load_shapes("shape-nobody")
    assert str(caught.value) == (
        "tokenizer: 'shape-nobody' is no run directory and does not come with the package; train one with "
        "`trilingua train shape-set`"
    )
