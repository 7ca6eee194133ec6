"""A question is a program: run it on a scene, write it as text, and let the generator ask new ones.

You learn CLEVR's functional programs, the postfix text in which a model writes them, why a malformed
program gives a reason and not an exception, and how balanced questions are made.

    python examples/02_questions.py
"""

from trilingua.core.random import make_generator
from trilingua.data.clevr.questions import generate_questions
from trilingua.scenes.program_text import program_from_text, program_to_text
from trilingua.scenes.programs import execute_program
from trilingua.scenes.relations import compute_relationships
from trilingua.scenes.scene import Scene, SceneObject


def main() -> None:
    """Ask one scene by hand, then let the generator ask it."""
    scene = Scene(
        objects=(
            SceneObject(shape="sphere", size="large", color="red", material="metal", location=(-1.5, 0.5, 0.7)),
            SceneObject(shape="cube", size="large", color="blue", material="rubber", location=(1.0, 1.0, 0.7)),
            SceneObject(shape="cylinder", size="small", color="yellow", material="rubber", location=(0.5, -1.5, 0.35)),
        )
    )

    # "How many rubber things are right of the sphere?", as nodes that name their inputs ...
    program = [
        {"type": "scene", "inputs": [], "value_inputs": []},
        {"type": "filter_shape", "inputs": [0], "value_inputs": ["sphere"]},
        {"type": "unique", "inputs": [1], "value_inputs": []},
        {"type": "relate", "inputs": [2], "value_inputs": ["right"]},
        {"type": "filter_material", "inputs": [3], "value_inputs": ["rubber"]},
        {"type": "count", "inputs": [4], "value_inputs": []},
    ]
    result = execute_program(program, scene)
    print(f"{program_to_text(program)} -> {result.answer}")

    # ... or as text, which is how a model writes it.
    for text in (
        "scene filter_color:red unique relate:right exist",
        "scene filter_shape:cube unique query_color",
        "scene filter_color:green unique query_shape",  # nothing is green
        "scene count unique",  # a number is no set
    ):
        parsed = program_from_text(text)
        outcome = execute_program(parsed.program, scene) if parsed.program else parsed
        print(f"{text} -> {getattr(outcome, 'answer', None) or outcome.problem}")

    # Relations are geometry: which objects lie more than 0.2 m in a direction.
    directions = {"right": (0.6563, 0.7545, 0.0)}
    print("right of the sphere:", compute_relationships(scene.objects, directions)["right"][0])

    print("\nAsked by the generator:")
    for question in generate_questions(scene, make_generator(0, "an example"), 5):
        print(f"  [{question['template_group']}] {question['question']} {question['answer']}")


if __name__ == "__main__":
    main()
