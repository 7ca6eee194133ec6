from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.text import describe


def test_describe_says_what_is_known():
    plain = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.1, -2.0, 0.35))
    full = SceneObject(
        shape="sphere",
        size="large",
        color="gray",
        material="rubber",
        location=(1.0, 2.0, 0.7),
        rotation_degrees=12.6,
        score=0.987,
    )
    assert describe(Scene(objects=(plain, full))) == (
        "0: small red metal cube at (0.10, -2.00, 0.35) m\n"
        "1: large gray rubber sphere at (1.00, 2.00, 0.70) m, turned 13 degrees, score 0.99"
    )
    assert describe(Scene(objects=())) == "(no objects)"
