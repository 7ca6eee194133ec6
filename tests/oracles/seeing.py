"""Pictures that are seen, place by place: squares of cells counted off, and what each place is given."""

import torch

from trilingua.nn.embeddings import PlacedVectors


def squares(codes_per_image, codes_per_place):
    """Return the cells of each place; no places where squares of so many cells do not tile the picture."""
    grids = [grid for grid in range(1, codes_per_image + 1) if grid * grid == codes_per_image]
    sides = [side for side in range(1, codes_per_image + 1) if side * side == codes_per_place]
    if not grids or not sides or grids[0] % sides[0]:
        return []
    (grid,), (side,) = grids, sides
    return [
        [(top + row) * grid + left + column for row in range(side) for column in range(side)]
        for top in range(0, grid, side)
        for left in range(0, grid, side)
    ]


def is_seen(ids, vocabulary):
    """Return whether a row begins with a picture without codes."""
    return ids[1] == vocabulary.marker("[IMAGE-START]") and vocabulary.kind(ids[3]) != "image"


def what_is_seen(ids, record, vocabulary, codes_per_place):
    """Return what the places of a row are given, one after the other; None if its picture is read or left out."""
    if not is_seen(ids, vocabulary):
        return None
    places = squares(len(record.image), codes_per_place)
    vectors = torch.from_numpy(record.vectors).float()
    given = [torch.cat([vectors[cell] for cell in cells]) for cells in places]
    return PlacedVectors(torch.tensor([2 + k for k in range(len(places))]), torch.stack(given))
