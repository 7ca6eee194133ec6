"""How often answers are right, beside what guessing would reach. Strings alone: no pictures, no programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from trilingua.core.errors import InputError

AnswerCounts = Mapping[str, Mapping[str, int]]
"""How often each answer occurs, for each question type."""


def count_answers(answers: Sequence[str], types: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return how often each answer occurs for each question type; feed it the training set's for the baselines.

    Args:
        answers: true answers.
        types: the type of each one's question, in the same order.

    Raises:
        InputError: not as many answers as types.
    """
    if len(answers) != len(types):
        raise InputError(f"answers: {len(answers)} answers and {len(types)} question types; expected as many of each")
    counts: dict[str, Counter[str]] = {}
    for answer, kind in zip(answers, types, strict=True):
        counts.setdefault(kind, Counter())[answer] += 1
    return {kind: dict(counter) for kind, counter in sorted(counts.items())}


def score_answers(
    predicted: Sequence[str],
    truth: Sequence[str],
    types: Sequence[str],
    *,
    answer_counts: AnswerCounts | None = None,
) -> dict[str, Any]:
    """Score answers by exact match, overall and for each question type.

    Returns:
        `accuracy`, `random` and `majority` in [0, 1], `num_questions`, and the same under `by_type` for each
        type, with its `majority_answer`. `random` is the accuracy to expect from drawing uniformly among the
        type's possible answers; `majority` that of always giving the type's commonest one (the first in the
        alphabet of equally common ones).

    Args:
        predicted: a model's answers; case and blanks count.
        truth: the true answers, in the same order.
        types: the type of each question, in the same order.
        answer_counts: answers of each type from the training set, from which both baselines come. None takes
            them from `truth`, which flatters the majority baseline.

    Raises:
        InputError: no questions, lists of different lengths, or a type that `answer_counts` lacks.

    Source: Kyvo, appendix C.3.
    Differs: the paper draws the random baseline 100 times; ours is its expectation.
    """
    if not truth or not len(predicted) == len(truth) == len(types):
        raise InputError(
            f"answers: {len(predicted)} predicted, {len(truth)} true and {len(types)} question types; "
            "expected as many of each, at least one"
        )
    answer_counts = count_answers(truth, types) if answer_counts is None else answer_counts
    by_type: dict[str, dict[str, Any]] = {}
    for kind in sorted(set(types)):
        counts = answer_counts.get(kind)
        if not counts:
            raise InputError(f"answers: question type {kind!r} has no answer_counts; give some or leave them all out")
        pairs = [(guess, true) for guess, true, this in zip(predicted, truth, types, strict=True) if this == kind]
        commonest = min(counts, key=lambda answer: (-counts[answer], answer))
        by_type[kind] = {
            "accuracy": sum(guess == true for guess, true in pairs) / len(pairs),
            "random": sum(true in counts for _, true in pairs) / (len(counts) * len(pairs)),
            "majority": sum(true == commonest for _, true in pairs) / len(pairs),
            "majority_answer": commonest,
            "num_questions": len(pairs),
        }
    overall = {
        name: sum(score[name] * score["num_questions"] for score in by_type.values()) / len(truth)
        for name in ("accuracy", "random", "majority")
    }
    overall["accuracy"] = sum(guess == true for guess, true in zip(predicted, truth, strict=True)) / len(truth)
    return {**overall, "num_questions": len(truth), "by_type": by_type}
