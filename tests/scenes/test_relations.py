import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import relations as oracle
from tests.oracles.random_scenes import directions, scene_objects

from trilingua.core.errors import ConfigError
from trilingua.scenes.relations import compute_relationships, with_relationships
from trilingua.scenes.scene import Scene, SceneObject

# The type checks of test runs draw which item of a tuple to check; that is no randomness of ours.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

AXES = {"right": (1.0, 0.0, 0.0), "left": (-1.0, 0.0, 0.0), "above": (0.0, 0.0, 1.0)}


def at(x, y=0.0, z=0.35):
    return SceneObject(shape="cube", size="small", color="red", material="metal", location=(x, y, z))


@settings(max_examples=100, deadline=None)
@given(st.lists(scene_objects(full=False), max_size=8), directions(), st.sampled_from((0.0, 0.2, 0.4)))
def test_equals_the_oracle(objects, ways, margin):
    expected = oracle.relationships([item.to_json() for item in objects], ways, margin)
    assert compute_relationships(objects, ways, margin) == expected


def test_the_margin_itself_does_not_count_and_above_is_left_out():
    objects = [at(0.0), at(0.25), at(0.5), at(-2.0)]
    assert compute_relationships(objects, AXES, 0.25) == {
        "right": [[2], [], [], [0, 1, 2]],
        "left": [[3], [3], [0, 3], []],
    }


def test_height_counts_where_the_direction_has_height():
    objects = [at(0.0, z=0.0), at(0.0, z=1.0)]
    assert compute_relationships(objects, {"front": (0.0, 0.6, 0.8)}) == {"front": [[1], []]}


@settings(max_examples=50, deadline=None)
@given(st.lists(scene_objects(full=False), max_size=6), directions())
def test_opposite_directions_are_transposes(objects, ways):
    found = compute_relationships(objects, ways)
    for here, there in (("left", "right"), ("front", "behind")):
        pairs = {(i, j) for i, related in enumerate(found[here]) for j in related}
        assert pairs == {(j, i) for i, related in enumerate(found[there]) for j in related}


def test_with_relationships_replaces_what_was_there():
    scene = Scene(objects=(at(0.0), at(1.0)), directions=AXES, relationships={"right": [[], []]})
    assert with_relationships(scene).relationships == {"right": [[1], []], "left": [[], [0]]}
    assert scene.relationships == {"right": [[], []]}


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_a_bad_margin_is_refused(margin):
    with pytest.raises(ConfigError) as caught:
        compute_relationships([], {}, margin)
    assert str(caught.value) == f"margin: {margin} is not allowed; give a number of metres that is at least 0"
