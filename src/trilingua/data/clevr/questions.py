"""CLEVR questions about a scene: which families there are, and how often each answer is wanted.

The answer is drawn first and a question that has it is searched for, so that answers are balanced
although each scene is asked about on its own and no counts are kept between scenes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import numpy as np

from trilingua.data.clevr.question_search import (
    SceneSets,
    find_both,
    find_comparison,
    find_either,
    find_hops,
    find_number_comparison,
    find_same,
)
from trilingua.data.clevr.question_structure import Question, to_program
from trilingua.data.clevr.question_templates import to_text
from trilingua.scenes.functions import ATTRIBUTES
from trilingua.scenes.programs import execute_program, relationships_of
from trilingua.scenes.scene import Scene
from trilingua.scenes.schema import CLEVR

Find = Callable[[SceneSets, Random, str, str], Question | None]

TEMPLATE_GROUPS = (
    "zero_hop",
    "one_hop",
    "two_hop",
    "three_hop",
    "single_and",
    "single_or",
    "same_relation",
    "comparison",
    "integer_comparison",
)
"""The nine groups of CLEVR's templates."""

NUMBER_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 0.7, 0.4, 0.2, 0.1, 0.05, 0.05)
"""How often each number is wanted as an answer, up to a factor: large ones fit few questions."""

_NUM_TRIES = 40
"""How many times in a row a new question may not be found before a scene counts as used up."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of question: its `question_family_index` is its place in `FAMILIES`."""

    group: str
    function: str
    """The function that gives the answer."""
    find: Find

    @property
    def question_type(self) -> str:
        """What its answers are: `yes/no`, `number`, `shape`, `color`, `material` or `size`."""
        if self.function == "count":
            return "number"
        return self.function.removeprefix("query_") if self.function.startswith("query_") else "yes/no"


def _families() -> tuple[Family, ...]:
    families: list[Family] = []

    def add(group: str, function: str, find: Callable[..., Question | None], **settings: Any) -> None:
        families.append(Family(group=group, function=function, find=partial(find, **settings)))

    queries = [f"query_{name}" for name in ATTRIBUTES]
    for hops, group in enumerate(TEMPLATE_GROUPS[:4]):
        for function in ("count", "exist", *queries):
            add(group, function, find_hops, hops=hops)
    for function in ("count", "exist", *queries):
        add("single_and", function, find_both)
    for pair in ((0, 0), (1, 1), (1, 0), (0, 1)):
        add("single_or", "count", find_either, hops=pair, attribute=None)
    for name in ATTRIBUTES:
        add("single_or", "count", find_either, hops=(0, 0), attribute=name)
    for name in ATTRIBUTES:
        for filtered in (False, True):
            for function in ("exist", "count"):
                add("same_relation", function, find_same, attribute=name, filtered=filtered)
        for function in queries:
            if function != f"query_{name}":
                add("same_relation", function, find_same, attribute=name, filtered=True)
    for name in ATTRIBUTES:
        for pair in ((0, 0), (1, 0), (0, 1), (1, 1)):
            add("comparison", f"equal_{name}", find_comparison, hops=pair)
    for function in ("equal_integer", "less_than", "greater_than"):
        for pair in ((0, 0), (1, 0), (1, 1)):
            add("integer_comparison", function, find_number_comparison, hops=pair)
    return tuple(families)


FAMILIES = _families()
"""Every family of questions. Source: CLEVR, its template groups.

Differs: `exist` with two relations at once is asked too, so there is one family more than CLEVR's 90.
"""


def generate_questions(scene: Scene, generator: np.random.Generator, num_questions: int) -> list[dict[str, Any]]:
    """Return different, well-posed questions about a scene, with answers and programs.

    Each is a dict with `question`, `answer`, `program`, `question_family_index`, `question_type`
    (`yes/no`, `number`, `shape`, `color`, `material`, `size`) and `template_group` (one of
    `TEMPLATE_GROUPS`). The family is drawn first, uniformly; then an answer of its type, uniformly
    (numbers by `NUMBER_WEIGHTS`); families of the same type stand in where that one cannot give it, and
    another answer where none can.

    Args:
        scene: the true scene.
        generator: the scene's own random stream; equal streams give equal questions.
        num_questions: how many; fewer come back from a scene that has not so many different ones.

    Source: CLEVR, section 3 and appendix A (rejection of ill-posed and degenerate questions).
    Differs: the wanted answer steers the search, where CLEVR rejects by running counts; every relation
        must be needed, not only those of templates with two branches; counts compared may be equal.
    """
    random = Random(int(generator.integers(2**63)))
    # Bound once, so that relations are not computed anew for each program.
    scene = scene.replace(relationships=relationships_of(scene))
    sets = SceneSets(scene)
    questions: list[dict[str, Any]] = []
    seen: set[Question] = set()
    failures = 0
    while len(questions) < num_questions and failures < _NUM_TRIES:
        drawn = _draw(sets, random)
        if drawn is None or drawn[1] in seen:
            failures += 1
            continue
        failures = 0
        index, question, wanted = drawn
        seen.add(question)
        program = to_program(question)
        answer = execute_program(program, scene).answer
        assert answer == wanted, (answer, wanted, program)
        family = FAMILIES[index]
        questions.append(
            {
                "question": to_text(question, random),
                "answer": answer,
                "program": program,
                "question_family_index": index,
                "question_type": family.question_type,
                "template_group": family.group,
            }
        )
    return questions


def _draw_answers(sets: SceneSets, random: Random, question_type: str) -> list[str]:
    """Return the answers of a type in the order in which to look for a question that has them."""
    if question_type == "number":
        weights = NUMBER_WEIGHTS[: sets.num_objects + 1]
        # Sorting by u ** (1 / w) draws without replacement with chances in proportion to the weights.
        keys = [(random.random() ** (1 / weight), str(number)) for number, weight in enumerate(weights)]
        return [number for _, number in sorted(keys, reverse=True)]
    answers = ("yes", "no") if question_type == "yes/no" else CLEVR.values(question_type)
    return random.sample(answers, len(answers))


def _draw(sets: SceneSets, random: Random) -> tuple[int, Question, str] | None:
    """Return a family's index, a question and its answer; None if no family of the drawn type gives any."""
    first = random.randrange(len(FAMILIES))
    question_type = FAMILIES[first].question_type
    others = [
        index for index, family in enumerate(FAMILIES) if family.question_type == question_type and index != first
    ]
    for wanted in _draw_answers(sets, random, question_type):
        for index in [first, *random.sample(others, len(others))]:
            family = FAMILIES[index]
            question = family.find(sets, random, family.function, wanted)
            if question is not None:
                return index, question, wanted
    return None
