"""Random scenes without pixels, and random well-typed programs: what the tests of programs and questions run on."""

from trilingua.scenes.functions import ANSWER_TYPES, FUNCTIONS
from trilingua.scenes.programs import REFERENCE_DIRECTIONS
from trilingua.scenes.relations import with_relationships
from trilingua.scenes.scene import Scene, SceneObject
from trilingua.scenes.schema import CLEVR


def random_scene(random, num_objects=None):
    """Return a scene of 3 to 10 objects with every attribute and place drawn on its own."""
    number = random.randint(3, 10) if num_objects is None else num_objects
    objects = tuple(
        SceneObject(
            **{category.name: random.choice(category.values) for category in CLEVR.categories},
            location=(random.uniform(-3, 3), random.uniform(-3, 3), 0.5),
        )
        for _ in range(number)
    )
    return with_relationships(Scene(objects=objects, directions=REFERENCE_DIRECTIONS))


def random_program(random, output=None, depth=0):
    """Return the nodes of a random well-typed tree, in postfix order."""
    output = output or random.choice(ANSWER_TYPES)
    options = [signature for signature in FUNCTIONS.values() if signature.output == output]
    if output == "set" and (depth > 5 or random.random() < 0.4):
        options = [FUNCTIONS["scene"]]
    signature = random.choice(options)
    nodes, inputs = [], []
    for kind in signature.inputs:
        offset = len(nodes)
        for node in random_program(random, kind, depth + 1):
            nodes.append({**node, "inputs": [item + offset for item in node["inputs"]]})
        inputs.append(len(nodes) - 1)
    values = [random.choice(signature.values)] if signature.values else []
    return [*nodes, {"type": signature.name, "inputs": inputs, "value_inputs": values}]
