"""What a probe is asked about the pictures of separate sequences, one cell at a time."""

import torch


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
        if any(record is other for other in seen) or (start is None if order else ids[1] != opening[1]):
            continue
        seen.append(record)
        codes = [at for at, index in enumerate(ids) if vocabulary.kind(index) == "image"]
        cells = order or range(len(record.image))
        found += [(row, codes[k] - bool(order), record, cell) for k, cell in enumerate(cells)]
    return found


def probe_loss(probe, states, classes, values):
    """Return the sum over columns of the mean loss over the cells where it is known."""
    outputs = torch.stack([probe.output(state) for state in states])
    total, start = 0.0, 0
    for column, count in enumerate(probe.num_classes):
        losses = [
            -output[start : start + count].log_softmax(0)[int(truth[column])]
            for output, truth in zip(outputs, classes, strict=True)
            if truth[column] >= 0
        ]
        total, start = total + (sum(losses) / len(losses) if losses else 0.0), start + count
    errors = [
        abs(output[start + column] - float(truth[column]))
        for output, truth in zip(outputs, values, strict=True)
        for column in range(len(truth))
        if truth[column] == truth[column]
    ]
    return total + (sum(errors) / len(errors) if errors else 0.0)


def texts_of(sequences, records, vocabulary):
    """Return (row, place, places, referents) for each row that replies to a text that is about objects.

    The place is that of the output marker, the places are those that close the objects of the given scene.
    """
    found = []
    for row, (ids, record) in enumerate(zip(sequences, records, strict=True)):
        place = ids.index(vocabulary.marker("[OUTPUT-START]"))
        reply = ids[place + 1] if place + 1 < len(ids) else None
        for item in (*record.questions, *record.edits):
            text = list(getattr(item, "question", None) or item.instruction)
            if ids[place - len(text) : place] == text and reply != vocabulary.marker("[PROGRAM-START]"):
                closing = [at for at in range(place) if ids[at] == vocabulary.marker("[OBJECT-END]")]
                found.append((row, place, closing, item.referents))
                break
    return [text for text in found if set(text[3]) != {-1}]


def pointing_loss(probe, pointers, objects, referents):
    """Return the mean over known sets and objects of the negative log likelihood of being in it or not."""
    losses = []
    for state, others, sets in zip(pointers, objects, referents, strict=True):
        asking = probe.pointer(probe.norm(state)).reshape(len(sets), -1)
        for query, members in zip(asking, sets, strict=True):
            for number, other in enumerate(others if members >= 0 else []):
                logit = query @ probe.pointed(probe.norm(other)) / len(query) ** 0.5
                inside = bool(members & (1 << number))
                losses.append(-torch.nn.functional.logsigmoid(logit if inside else -logit))
    return sum(losses) / len(losses)
