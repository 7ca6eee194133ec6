"""CLEVR's relationships from their definition: plain loops over JSON values."""


def relationships(objects, directions, margin=0.2):
    result = {}
    for name in directions:
        if name in ("above", "below"):
            continue
        lists = []
        for reference in objects:
            related = []
            for other in range(len(objects)):
                along = 0
                for axis in range(3):
                    along = (
                        along
                        + (objects[other]["3d_coords"][axis] - reference["3d_coords"][axis]) * directions[name][axis]
                    )
                if along > margin:
                    related.append(other)
            lists.append(related)
        result[name] = lists
    return result
