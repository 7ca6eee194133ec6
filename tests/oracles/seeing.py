"""Pictures that are seen, cell by cell."""

import torch

from trilingua.nn.embeddings import PlacedVectors


def is_seen(ids, vocabulary):
    """Return whether a row begins with a picture without codes."""
    return ids[1] == vocabulary.marker("[IMAGE-START]") and vocabulary.kind(ids[3]) != "image"


def what_is_seen(ids, record, vocabulary):
    """Return what the markers of a row are given, one after the other; None if its picture is read or left out."""
    if not is_seen(ids, vocabulary):
        return None
    vectors = torch.from_numpy(record.vectors).float()
    return PlacedVectors(torch.tensor([2 + k for k in range(len(record.shown))], dtype=torch.int64), vectors)
