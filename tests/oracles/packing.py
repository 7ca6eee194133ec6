"""Sequences read one by one, each in a row of its own, and their loss summed token by token."""

import math

import torch

from trilingua.data.packing import IGNORED, TrainingSequence


def random_sequences(generator, *, vocab, count, longest=6):
    """Draw sequences of which many share a beginning: each follows an earlier one for a random number of pieces."""

    def piece():
        return tuple(generator.integers(0, vocab, generator.integers(1, longest + 1)).tolist())

    found = []
    for _ in range(count):
        given = [piece() for _ in range(generator.integers(0, 4))]
        if found and generator.random() < 0.7:
            earlier = found[generator.integers(len(found))].given
            shared = generator.integers(0, len(earlier) + 1)
            given[:shared] = earlier[:shared]
        predicted = piece()
        weights = tuple(generator.choice([0.5, 1.0, 10.0], len(predicted)).tolist())
        found.append(TrainingSequence(tuple(given), piece(), predicted, weights))
    return found


def unpacked(sequence):
    """Return the ids, labels and weights of the row that a sequence would have alone."""
    before = [token for piece in sequence.given for token in piece] + list(sequence.opening)
    ids = before + list(sequence.predicted)
    labels = [IGNORED] * (len(before) - 1) + list(sequence.predicted)
    weights = [0.0] * (len(before) - 1) + list(sequence.weights)
    return ids[:-1], labels, weights


def beginnings(sequences):
    """Return every different beginning that ends with a given piece."""
    return {sequence.given[: stop + 1] for sequence in sequences for stop in range(len(sequence.given))}


def placed(ids, places):
    """Return the position of each id: one after the last, but for those of `places`."""
    positions = []
    for token in ids:
        positions.append(places[token] if token in places else positions[-1] + 1 if positions else 0)
    return positions


def separate_loss(decoder, sequences, *, span=(0, 0), sigma=0.0, places=None, vectors=None):
    """Return the weighted mean loss, with a Gaussian target over neighbouring ids inside `span`.

    `vectors` are what each sequence sees.
    """
    total, weight = 0.0, 0.0
    for sequence, seen in zip(sequences, vectors or [None] * len(sequences), strict=True):
        ids, labels, weights = unpacked(sequence)
        positions = torch.tensor([placed(ids, places or {})])
        logits = decoder(torch.tensor([ids]), positions=positions, vectors=seen)[0]
        for place, label in enumerate(labels):
            if label == IGNORED:
                continue
            log_probabilities = logits[place].log_softmax(0)
            if sigma and span[0] <= label < span[1]:
                bell = torch.tensor([math.exp(-(((index - label) / sigma) ** 2) / 2) for index in range(*span)])
                loss = -(bell * log_probabilities[slice(*span)]).sum() / bell.sum()
            else:
                loss = -log_probabilities[label]
            total, weight = total + weights[place] * loss, weight + weights[place]
    return total / weight
