"""Kyvo's Algorithm 1 from the paper's text, and the best matching by trying every one."""

import itertools
import math

import numpy as np

CATEGORIES = ("shape", "size", "color", "material")


def acceptable(guess, true, threshold):
    for name in CATEGORIES:
        if getattr(guess, name) != getattr(true, name):
            return False
    apart = np.linalg.norm(
        np.array([guess.location[0], guess.location[1]]) - np.array([true.location[0], true.location[1]])
    )
    return bool(apart < threshold)


def first_pairs(predicted, truth, threshold):
    """Each prediction, in order, takes the first acceptable true object that nobody has."""
    is_taken = [False for _ in truth]
    pairs = []
    for i in range(len(predicted)):
        for j in range(len(truth)):
            if is_taken[j]:
                continue
            if acceptable(predicted[i], truth[j], threshold):
                is_taken[j] = True
                pairs.append((i, j))
                break
    return pairs


def jaccard(predicted, truth, threshold):
    true_positives = len(first_pairs(predicted, truth, threshold))
    false_positives = len(predicted) - true_positives
    false_negatives = len(truth) - true_positives
    return true_positives / (true_positives + false_positives + false_negatives)


def best(predicted, truth, threshold):
    """Return (most pairs, least total distance of so many pairs) over every set of pairs; for a few objects only."""
    pairs = [
        (i, j)
        for i in range(len(predicted))
        for j in range(len(truth))
        if acceptable(predicted[i], truth[j], threshold)
    ]
    for size in range(min(len(predicted), len(truth)), 0, -1):
        totals = [
            sum(math.dist(predicted[i].location[:2], truth[j].location[:2]) for i, j in chosen)
            for chosen in itertools.combinations(pairs, size)
            if len({i for i, _ in chosen}) == size and len({j for _, j in chosen}) == size
        ]
        if totals:
            return size, min(totals)
    return 0, 0.0
