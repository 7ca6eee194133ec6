"""Where a grid of signed distances is 0, as a triangle mesh through which gradients flow: FlexiCubes.

Dual marching cubes: every cell that the surface crosses has a vertex for each sheet of the surface in it, and every
crossed edge of the grid joins the vertices around it to a quad. FlexiCubes lets each vertex move inside its cell: by
the signed distances, by moving the grid, and by weights of the cells' corners and edges. Connectivity has no gradient.
Written from the paper; its tables are worked out here from the rule that closes the mesh. Knows no networks.

Source: Shen et al. 2023 (FlexiCubes), section 4; Nielson 2004 (dual marching cubes); Wenger 2013 (Isosurfaces), for
cells that would touch twice.
"""

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from trilingua.geometry.fields import Grid

NUM_WEIGHTS = 21
"""Weights of a cell: 12 of its edges, 8 of its corners, 1 that says how quads at it are split."""

WEIGHT_RANGE = 0.99
"""Edge and corner weights lie within this of 1, so that none is 0."""


class FlexibleSurface(NamedTuple):
    """A closed triangle mesh with gradients. Seen from outside, faces turn counter-clockwise."""

    vertices: Float[Tensor, "vertex 3"]
    faces: Int[Tensor, "face 3"]
    deviations: Float[Tensor, " dual"]
    """For each sheet in a cell: mean absolute deviation of the distances from its vertex to its crossings."""


# Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2 & 1). Edge 4a + u + 2v runs along axis a, at u and v on the two
# other axes in order. Face 2a + side is orthogonal to axis a.
_OTHER_AXES = ((1, 2), (0, 2), (0, 1))
_EDGE_ENDS = tuple(
    ((u << b) + (v << c), (u << b) + (v << c) + (1 << a))
    for a, (b, c) in enumerate(_OTHER_AXES)
    for v in (0, 1)
    for u in (0, 1)
)
_FACE_CORNERS = tuple(
    tuple((side << a) + (u << b) + (v << c) for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)))
    for a, (b, c) in enumerate(_OTHER_AXES)
    for side in (0, 1)
)


class _Tables(NamedTuple):
    """What each of the 256 cases of a cell looks like; bit c of a case says that corner c is inside."""

    patches: Int[Tensor, "2 256 12"]
    """Sheet that crosses each edge, -1 where none does; second, with the sheets of the pinched face parted."""
    counts: Int[Tensor, "2 256"]
    """Number of sheets."""
    pinched: Int[Tensor, "256"]
    """Face that one sheet crosses twice, -1 where there is none; a case has at most one."""


@cache
def _tables() -> _Tables:
    patches, counts, pinched = (
        torch.full((2, 256, 12), -1),
        torch.zeros(2, 256, dtype=torch.long),
        torch.full((256,), -1),
    )
    for case in range(256):
        plain, twice = _sheets(case, None)
        parted, _ = _sheets(case, twice)
        for variant, sheets in enumerate((plain, parted)):
            counts[variant, case] = len(sheets)
            for index, sheet in enumerate(sheets):
                patches[variant, case, list(sheet)] = index
        if twice is not None:
            pinched[case] = twice
    return _Tables(patches, counts, pinched)


def _sheets(case: int, joined_face: int | None) -> tuple[list[set[int]], int | None]:
    """Return each sheet of a case as its crossed edges, and the face that one sheet crosses twice.

    On a face with inside corners on one diagonal only, the lines of the surface run around each inside corner; on
    `joined_face` around each outside corner. Both cells at a face see the same corners, so their sheets meet.
    """
    edge_of = {frozenset(ends): edge for edge, ends in enumerate(_EDGE_ENDS)}
    sheet_of = {edge: {edge} for edge, ends in enumerate(_EDGE_ENDS) if (case >> ends[0] ^ case >> ends[1]) & 1}
    doubled: dict[int, list[int]] = {}
    for face, corners in enumerate(_FACE_CORNERS):
        edges = [edge_of[frozenset((corners[i], corners[(i + 1) % 4]))] for i in range(4)]
        crossed = [edge for edge in edges if edge in sheet_of]
        lines = [tuple(crossed)] if len(crossed) == 2 else []
        if len(crossed) == 4:
            ringed = face != joined_face
            lines = [(edges[i - 1], edges[i]) for i in range(4) if (case >> corners[i] & 1) == ringed]
            doubled[face] = [line[0] for line in lines]
        for first, second in lines:
            whole = sheet_of[first] | sheet_of[second]
            sheet_of.update(dict.fromkeys(whole, whole))
    twice = [face for face, (first, second) in doubled.items() if sheet_of[first] is sheet_of[second]]
    sheets: list[set[int]] = []
    for sheet in sheet_of.values():
        if sheet not in sheets:
            sheets.append(sheet)
    return sheets, twice[0] if twice else None


def surface_cells(sdf: Float[Tensor, "x y z"]) -> Int[Tensor, "cell 3"]:
    """Return the index of each cell that the surface crosses; `extract_flexicubes` wants weights in this order."""
    return _find_cells(_cases(_close(sdf)))


def extract_flexicubes(
    sdf: Float[Tensor, "x y z"],
    grid: Grid,
    *,
    deformation: Float[Tensor, "x y z 3"] | None = None,
    weights: Float[Tensor, "cell 21"] | None = None,
    fans: bool = False,
) -> FlexibleSurface:
    """Return the closed, manifold mesh of where `sdf` is 0.

    A crossing of the edge from x_i to x_j is `(s_j a_j x_i - s_i a_i x_j) / (s_j a_j - s_i a_i)`; a vertex is the mean
    of its sheet's crossings weighted by b; a = b = 1 + 0.99 tanh(raw weight), for corners and edges.

    Args:
        sdf: signed distance at the grid's samples, negative inside. Only its sign decides the connectivity. Samples
            on the grid's border count as outside, which closes a shape that leaves the grid.
        grid: where the samples are.
        deformation: raw move of each sample: by half the spacing times its tanh. None: no sample moves.
        weights: raw weights of each of `surface_cells(sdf)`: 12 of edges, 8 of corners, 1 of splitting. None is 0.
        fans: split quads into four faces around a point between both diagonals' middles, which lets gradients
            choose between them, as training needs; else into two along the diagonal of greater weight.

    Source: Shen et al. 2023, section 4: flexible vertices, quad splitting and grid deformation.
    Differs: of two cells that touch twice at one face, both part their sheets there, which leaves every mesh
    manifold; the published code mirrors one of them.
    """
    assert sdf.shape == (grid.resolution + 1,) * 3, "the samples are not those of the grid"
    tables = _Tables(*(table.to(sdf.device) for table in _tables()))
    sdf = _close(sdf)
    cases = _cases(sdf)
    cells = _find_cells(cases)
    raw = sdf.new_zeros(len(cells), NUM_WEIGHTS) if weights is None else weights
    edge_weights, corner_weights = (1 + WEIGHT_RANGE * raw[:, :20].tanh()).split([12, 8], dim=-1)

    variant = _parted(cases, cells, tables.pinched)
    case = cases[tuple(cells.T)]
    patches, counts = tables.patches[variant, case], tables.counts[variant, case]
    vertex_of_edge = (counts.cumsum(0) - counts)[:, None] + patches
    cell, edge = (patches >= 0).nonzero(as_tuple=True)
    owner, num_vertices = vertex_of_edge[cell, edge], int(counts.sum())

    bits = torch.arange(8, device=sdf.device)
    corners = (cells[:, None] + torch.stack([bits & 1, bits >> 1 & 1, bits >> 2], dim=-1)).unbind(-1)
    places = torch.stack([grid.coordinates(sdf.device).to(sdf.dtype)[axis] for axis in corners], dim=-1)
    if deformation is not None:
        places = places + 0.5 * grid.spacing * deformation[corners].tanh()
    scaled = (sdf[corners] * corner_weights)[..., None]
    start, end = torch.tensor(_EDGE_ENDS, device=sdf.device)[edge].unbind(-1)
    from_start, from_end = scaled[cell, start], scaled[cell, end]
    crossings = (from_end * places[cell, start] - from_start * places[cell, end]) / (from_end - from_start)

    def gather(values: Float[Tensor, "crossing ..."]) -> Float[Tensor, "dual ..."]:
        return values.new_zeros(num_vertices, *values.shape[1:]).index_add(0, owner, values)

    pull = edge_weights[cell, edge, None]
    vertices = gather(pull * crossings) / gather(pull)
    distances = torch.linalg.vector_norm(vertices[owner] - crossings, dim=-1)
    num_crossings = gather(torch.ones_like(distances))
    spread = (distances - (gather(distances) / num_crossings)[owner]).abs()

    quads, quad_cells = _quads(cases, cells, vertex_of_edge, sdf < 0)
    vertices, faces = _split(vertices, quads, F.logsigmoid(raw[:, 20])[quad_cells], fans)
    return FlexibleSurface(vertices, faces, gather(spread) / num_crossings)


def sign_loss(sdf: Float[Tensor, "x y z"]) -> Float[Tensor, ""]:
    """Return how undecided the signs are: each crossed edge's ends, as logits, against the other's sign.

    Lowering it removes floating pieces and holes that nothing asks for. Mean over crossed edges of the sum of both
    cross-entropies; 0 without a crossing.

    Source: Munkberg et al. 2022 (nvdiffrec), the regularizer of signed distances.
    Differs: the mean, not the sum, so that one weight suits all grids.
    """
    first = torch.cat([sdf[:-1].flatten(), sdf[:, :-1].flatten(), sdf[:, :, :-1].flatten()])
    second = torch.cat([sdf[1:].flatten(), sdf[:, 1:].flatten(), sdf[:, :, 1:].flatten()])
    crossed = (first < 0) != (second < 0)
    first, second = first[crossed], second[crossed]
    if not len(first):
        return sdf.sum() * 0
    outside_first, outside_second = (first >= 0).to(sdf.dtype), (second >= 0).to(sdf.dtype)
    return F.binary_cross_entropy_with_logits(first, outside_second) + F.binary_cross_entropy_with_logits(
        second, outside_first
    )


def _close(sdf: Float[Tensor, "x y z"]) -> Float[Tensor, "x y z"]:
    """Return the samples with all those on the border outside, as far as they were inside."""
    border = torch.ones_like(sdf, dtype=torch.bool)
    border[1:-1, 1:-1, 1:-1] = False
    return torch.where(border & (sdf < 0), sdf.detach().abs(), sdf)


def _cases(sdf: Float[Tensor, "x y z"]) -> Int[Tensor, "cx cy cz"]:
    """Return each cell's case: bit c says that corner c is inside."""
    inside = (sdf < 0).to(torch.long)
    x, y, z = (length - 1 for length in sdf.shape)
    shifted = [
        inside[c & 1 : (c & 1) + x, (c >> 1 & 1) : (c >> 1 & 1) + y, (c >> 2) : (c >> 2) + z] << c for c in range(8)
    ]
    return torch.stack(shifted).sum(0)


def _find_cells(cases: Int[Tensor, "cx cy cz"]) -> Int[Tensor, "cell 3"]:
    return ((cases > 0) & (cases < 255)).nonzero()


def _parted(
    cases: Int[Tensor, "cx cy cz"], cells: Int[Tensor, "cell 3"], pinched: Int[Tensor, "256"]
) -> Int[Tensor, " cell"]:
    """Return 1 for each cell whose sheet touches its neighbour's twice at one face, else 0.

    Left alone, the two touches would be one edge of four quads. No case has a second face with a choice beside its
    pinched one, so parting one face disturbs no other.
    """
    face = pinched[cases[tuple(cells.T)]]
    has_face = face >= 0
    beside = cells.clone()
    axis, side = (face.clamp_min(0) >> 1)[:, None], (face & 1)[:, None]
    beside.scatter_add_(1, axis, 2 * side - 1)
    # The border is outside, so a face with a choice has a cell on either side.
    beside = torch.where(has_face[:, None], beside, cells)
    return (has_face & (pinched[cases[tuple(beside.T)]] == face ^ 1)).long()


def _quads(
    cases: Int[Tensor, "cx cy cz"],
    cells: Int[Tensor, "cell 3"],
    vertex_of_edge: Int[Tensor, "cell 12"],
    inside: Tensor,
) -> tuple[Int[Tensor, "quad 4"], Int[Tensor, "quad 4"]]:
    """Return the four vertices around each crossed edge of the grid, counter-clockwise, and their cells."""
    cell_at = torch.full_like(cases, -1)
    cell_at[tuple(cells.T)] = torch.arange(len(cells), device=cells.device)
    vertices: list[Tensor] = []
    owners: list[Tensor] = []
    for axis, others in enumerate(_OTHER_AXES):
        length = inside.shape[axis] - 1
        start, end = inside.narrow(axis, 0, length), inside.narrow(axis, 1, length)
        edges = (start != end).nonzero()  # none lies on the border, which is outside
        turn = [(1, 1), (0, 1), (0, 0), (1, 0)] if axis != 1 else [(1, 1), (1, 0), (0, 0), (0, 1)]
        around, corners = [], []
        for u, v in turn:
            place = edges.clone()
            place[:, others[0]] -= u
            place[:, others[1]] -= v
            around.append(cell_at[tuple(place.T)])
            corners.append(vertex_of_edge[around[-1], 4 * axis + u + 2 * v])
        backwards = ~start[tuple(edges.T)]
        for made, parts in ((vertices, corners), (owners, around)):
            quads = torch.stack(parts, dim=-1)
            made.append(torch.where(backwards[:, None], quads.flip(-1), quads))
    return torch.cat(vertices), torch.cat(owners)


def _split(
    vertices: Float[Tensor, "dual 3"],
    quads: Int[Tensor, "quad 4"],
    log_weights: Float[Tensor, "quad 4"],
    fans: bool,
) -> tuple[Float[Tensor, "vertex 3"], Int[Tensor, "face 3"]]:
    """Return the vertices and the faces of quads; a diagonal weighs as the product of its ends' split weights."""
    first, second = log_weights[:, 0] + log_weights[:, 2], log_weights[:, 1] + log_weights[:, 3]
    a, b, c, d = quads.unbind(-1)
    if not fans:
        along_first = torch.stack([a, b, c, a, c, d], dim=-1)
        along_second = torch.stack([b, c, d, b, d, a], dim=-1)
        return vertices, torch.where((first >= second)[:, None], along_first, along_second).reshape(-1, 3)
    share = (first - second).sigmoid()[:, None]
    middle = share * (vertices[a] + vertices[c]) / 2 + (1 - share) * (vertices[b] + vertices[d]) / 2
    point = len(vertices) + torch.arange(len(quads), device=quads.device)
    fan = torch.stack([a, b, point, b, c, point, c, d, point, d, a, point], dim=-1)
    return torch.cat([vertices, middle]), fan.reshape(-1, 3)
