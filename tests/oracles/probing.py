"""What a probe is asked about the pictures of separate sequences, one cell at a time."""

import itertools
import math

import torch
from tests.oracles.seeing import is_seen


def cells_of(sequences, records, vocabulary, order):
    """Return (row, place, record, cell) for each cell of each record's picture, in its first row that has one.

    Args:
        sequences: the ids of each row.
        records: the record of each row.
        vocabulary: tells which ids are codes.
        order: the cells in the order in which a drawn picture writes them; None to ask about given pictures. For a
            picture that is drawn of a scene, the place is that before the code.
    """
    found, seen = [], []
    for row, (ids, record) in enumerate(zip(sequences, records, strict=True)):
        opening = [vocabulary.marker("[OUTPUT-START]"), vocabulary.marker("[IMAGE-START]")]
        start = next((at for at in range(len(ids)) if ids[at : at + 2] == opening), None)
        reads = ids[1] == opening[1] and not is_seen(ids, vocabulary)
        if any(record is other for other in seen) or (start is None if order else not reads):
            continue
        seen.append(record)
        codes = [at for at, index in enumerate(ids) if vocabulary.kind(index) == "image"]
        cells = order or range(len(record.image))
        found += [(row, codes[k] - bool(order), record, cell) for k, cell in enumerate(cells)]
    return found


def seen_cells_of(sequences, records, vocabulary):
    """Return (row, place, record, cell) for each cell that is given of each picture that is seen."""
    found, known = [], []
    for row, (ids, record) in enumerate(zip(sequences, records, strict=True)):
        if is_seen(ids, vocabulary) and not any(record is other for other in known):
            known.append(record)
            found += [(row, 2 + k, record, cell) for k, cell in enumerate(record.shown)]
    return found


def probe_loss(probe, states, classes, values):
    """Return the sum over columns of the mean loss over the cells where it is known, and the mean errors of values."""
    outputs = probe.output(torch.stack(states))
    total, start = 0.0, 0
    for column, count in enumerate(probe.num_classes):
        losses = [
            -output[start : start + count].log_softmax(0)[int(truth[column])]
            for output, truth in zip(outputs, classes, strict=True)
            if truth[column] >= 0
        ]
        total, start = total + (sum(losses) / len(losses) if losses else 0.0), start + count
    waves = [(wave, 2**k) for wave in (math.sin, math.cos) for k in range(probe.num_frequencies)]
    for kinds in ([(float, 1)], waves):
        errors, width = [], 0
        for wave, power in kinds:
            for column in range(len(values[0])):
                errors += [
                    abs(output[start + width] - wave(power * float(truth[column])))
                    for output, truth in zip(outputs, values, strict=True)
                    if truth[column] == truth[column]
                ]
                width += 1
        total, start = total + (sum(errors) / len(errors) if errors else 0.0), start + width
    return total


def pointers_of(sequences, records, vocabulary):
    """Return (row, place, places) for each step of a program or reference that gives objects.

    The place is that of the step's last id, the places are those that close these objects in the given scene.
    """
    found = []
    for row, (ids, record) in enumerate(zip(sequences, records, strict=True)):
        output = ids.index(vocabulary.marker("[OUTPUT-START]"))
        closing = [at for at in range(output) if ids[at] == vocabulary.marker("[OBJECT-END]")]
        for item in (*record.questions, *record.edits):
            text = list(getattr(item, "question", None) or item.instruction)
            if ids[output - len(text) : output] == text:
                for place, members in enumerate(item.referents, output + 1):
                    if members >= 0:
                        found.append((row, place, [at for k, at in enumerate(closing) if members >> k & 1]))
    return found


def recognized_of(sequences, records, vocabulary, scenes):
    """Return (row, place, places, item) for each id of each object of a recognized scene that a given cell shows.

    The place is that before the id, the places are those of the object's cells, the item is (its number from 0, the
    object).
    """
    found = []
    for row, (ids, record) in enumerate(zip(sequences, records, strict=True)):
        output = ids.index(vocabulary.marker("[OUTPUT-START]"))
        if ids[output - 1] == vocabulary.marker("[IMAGE-END]") and ids[output + 1] == vocabulary.marker(
            "[SCENE-START]"
        ):
            codes = [at for at in range(output) if vocabulary.kind(ids[at]) == "image"]
            if is_seen(ids, vocabulary):
                codes = [2 + record.shown.index(k) if k in record.shown else None for k in range(len(record.image))]
            objects = scenes.detokenize(list(record.scene)).scene.objects
            cells = {number: [] for number in range(len(objects))}
            for at, classes, (*_, x, y) in zip(codes, record.cell_classes, record.cell_values.tolist(), strict=True):
                if classes[0] == 1 and at is not None:
                    cells[min(cells, key=lambda k: math.dist(objects[k].location[:2], (x, y)))].append(at)
            ends = [at for at in range(output, len(ids)) if ids[at] == vocabulary.marker("[OBJECT-END]")]
            for item, (before, end) in zip(enumerate(objects), itertools.pairwise([output + 1, *ends]), strict=True):
                if cells[item[0]]:
                    found += [(row, place, cells[item[0]], item) for place in range(before, end)]
    return found


def objects_of(sequences, records, vocabulary, scenes):
    """Return (row, place, item) for each object of each different beginning that ends with a given scene.

    The place is that of the id that closes the object, the item is (its number from 0, the object).
    """
    found, seen = [], []
    for row, (ids, record) in enumerate(zip(sequences, records, strict=True)):
        given = ids[: ids.index(vocabulary.marker("[OUTPUT-START]"))]
        if vocabulary.marker("[SCENE-END]") not in given:
            continue
        beginning = given[: given.index(vocabulary.marker("[SCENE-END]")) + 1]
        if any(record is other and beginning == others for other, others in seen):
            continue
        seen.append((record, beginning))
        closing = [at for at in range(len(beginning)) if ids[at] == vocabulary.marker("[OBJECT-END]")]
        staged = tuple(beginning[1:]) == record.staged
        items = scenes.detokenize(list(record.staged if staged else record.scene)).scene.objects
        found += [(row, place, item) for place, item in zip(closing, enumerate(items), strict=True)]
    return found


def guided_loss(attention, inputs, positions, theta, places, targets):
    """Return the divergences of the first head's attention from equal parts on each place's targets, in a list.

    Args:
        attention: the layer's; its products are taken row by row from its matrix.
        inputs: what the attention reads, of one sequence.
        positions: of each token.
        theta: base of the rotary wavelengths.
        places: the tokens that look.
        targets: for each of them the places to look at; itself where there are none.
    """
    width = attention.head_dim
    query_rows = attention.qkv.weight[:width]
    key_rows = attention.qkv.weight[attention.num_heads * width :][:width]

    def turned(vector, position):
        pairs = torch.complex(vector[: width // 2], vector[width // 2 :])
        angles = position * theta ** (-torch.arange(width // 2) * 2 / width)
        return pairs * torch.polar(torch.ones_like(angles), angles)

    losses = []
    for place, wanted in zip(places, targets, strict=True):
        query = turned(query_rows @ inputs[place], positions[place])
        scores = [
            (query * turned(key_rows @ inputs[other], positions[other]).conj()).real.sum() / width**0.5
            for other in range(place + 1)
        ]
        weights = torch.stack(scores).log_softmax(0)
        wanted = wanted or [place]
        losses.append(-sum(weights[other] + torch.tensor(float(len(wanted))).log() for other in wanted) / len(wanted))
    return losses
