"""Random scenes for tests: hypothesis strategies over everything that a CLEVR scene file may hold."""

import math

from hypothesis import strategies as st

from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR

coordinates = st.floats(-3, 3) | st.integers(-60, 60).map(lambda n: n / 20)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def extras(prefix):
    return st.dictionaries(st.text(max_size=4).map(lambda name: prefix + name), json_values, max_size=2)


@st.composite
def scene_objects(draw, full=True, values=None):
    """Draw one object; `values` keeps each category to its first so many values, so that objects coincide."""
    categories = {c.name: draw(st.sampled_from(c.values[:values])) for c in CLEVR.categories}
    location = (draw(coordinates), draw(coordinates), draw(st.sampled_from((0.35, 0.7))))
    if not full:
        return SceneObject(**categories, location=location)
    pixels = st.integers(0, 320).map(float)
    return SceneObject(
        **categories,
        location=location,
        rotation_degrees=draw(st.none() | st.floats(0, 360, exclude_max=True)),
        pixel_coords=draw(st.none() | st.tuples(pixels, pixels, st.floats(1, 30))),
        score=draw(st.none() | st.floats(0, 1)),
        extra=draw(extras("x_")) | draw(st.just({}) | json_values.map(lambda value: {"index": value})),
    )


@st.composite
def directions(draw):
    """Draw the four ground directions and up and down of a camera that is turned at random."""
    turn = draw(st.floats(0, 2 * math.pi))
    behind, right = (math.cos(turn), math.sin(turn), 0.0), (math.sin(turn), -math.cos(turn), 0.0)
    return {
        "behind": behind,
        "front": tuple(-item for item in behind),
        "left": tuple(-item for item in right),
        "right": right,
        "above": (0.0, 0.0, 1.0),
        "below": (0.0, 0.0, -1.0),
    }


@st.composite
def scenes(draw):
    from trilingua.scenes.relations import with_relationships

    scene = Scene(
        objects=tuple(draw(st.lists(scene_objects(), max_size=10))),
        directions=draw(st.just({}) | directions()),
        image_filename=draw(st.none() | st.text(max_size=10)),
        image_index=draw(st.none() | st.integers(0, 10**6)),
        split=draw(st.none() | st.sampled_from(("train", "val"))),
        extra=draw(extras("y_")),
    )
    return with_relationships(scene) if draw(st.booleans()) else scene
