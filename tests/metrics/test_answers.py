import random

import pytest

from trilingua.core.errors import InputError
from trilingua.metrics.answers import count_answers, score_answers

TYPES = ["count", "count", "count", "exist", "exist", "count"]
TRUTH = ["0", "1", "0", "yes", "no", "2"]


def test_every_figure_of_a_small_case():
    scores = score_answers(["0", "0", "0", "yes", "yes", "3"], TRUTH, TYPES)
    assert scores == {
        "accuracy": 3 / 6,
        "random": pytest.approx((4 * (1 / 3) + 2 * (1 / 2)) / 6),
        "majority": pytest.approx((2 + 1) / 6),
        "num_questions": 6,
        "by_type": {
            "count": {
                "accuracy": 2 / 4,
                "random": pytest.approx(1 / 3),
                "majority": 2 / 4,
                "majority_answer": "0",
                "num_questions": 4,
            },
            "exist": {
                "accuracy": 1 / 2,
                "random": 1 / 2,
                "majority": 1 / 2,
                "majority_answer": "no",
                "num_questions": 2,
            },
        },
    }


def test_baselines_come_from_the_training_set_if_it_is_given():
    counts = {"count": {"0": 5, "1": 2, "2": 9, "3": 1}, "exist": {"yes": 3, "no": 2}, "color": {"red": 1}}
    by_type = score_answers(TRUTH, TRUTH, TYPES, answer_counts=counts)["by_type"]
    assert by_type["count"]["random"] == 1 / 4
    assert (by_type["count"]["majority_answer"], by_type["count"]["majority"]) == ("2", 1 / 4)
    assert by_type["exist"]["majority_answer"] == "yes"
    unseen = score_answers(["9"], ["9"], ["count"], answer_counts=counts)["by_type"]["count"]
    assert (unseen["accuracy"], unseen["random"], unseen["majority"]) == (1.0, 0.0, 0.0)


def test_random_is_what_random_answers_reach():
    stream = random.Random(0)
    possible = {"count": ["0", "1", "2"], "exist": ["yes", "no"]}
    rounds = [
        score_answers([stream.choice(possible[kind]) for kind in TYPES], TRUTH, TYPES)["accuracy"] for _ in range(3000)
    ]
    assert sum(rounds) / len(rounds) == pytest.approx(score_answers(TRUTH, TRUTH, TYPES)["random"], abs=0.015)


def test_the_right_answers_score_one_and_case_counts():
    assert score_answers(TRUTH, TRUTH, TYPES)["accuracy"] == 1.0
    assert score_answers(["Yes"], ["yes"], ["exist"])["accuracy"] == 0.0


def test_count_answers():
    assert count_answers(TRUTH, TYPES) == {"count": {"0": 2, "1": 1, "2": 1}, "exist": {"yes": 1, "no": 1}}


def test_bad_arguments_are_refused_in_words():
    for call, text in (
        (
            lambda: score_answers(["a"], ["a", "b"], ["t"]),
            "answers: 1 predicted, 2 true and 1 question types; expected as many of each, at least one",
        ),
        (
            lambda: score_answers([], [], []),
            "answers: 0 predicted, 0 true and 0 question types; expected as many of each, at least one",
        ),
        (
            lambda: score_answers(["a"], ["a"], ["t"], answer_counts={}),
            "answers: question type 't' has no answer_counts; give some or leave them all out",
        ),
        (lambda: count_answers(["a"], []), "answers: 1 answers and 0 question types; expected as many of each"),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value) == text
