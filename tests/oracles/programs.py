"""A slow, obvious reading of CLEVR programs: recursion from the last node, sets of objects, one branch a function."""

import numpy as np


def run(program, scene, relationships=None):
    """Return the answer, or None where `unique` meets a set of not one object."""

    class NotOneError(Exception):
        pass

    def attribute(index, name):
        return getattr(scene.objects[index], name)

    def related(direction, index):
        if relationships is not None:
            return set(relationships[direction][index])
        vector = np.array(scene.directions[direction])
        here = np.array(scene.objects[index].location)
        return {
            other
            for other in range(len(scene.objects))
            if other != index and float(np.dot(np.array(scene.objects[other].location) - here, vector)) > 0.2
        }

    def value(node_index):
        node = program[node_index]
        kind = node["type"]
        inputs = [value(item) for item in node["inputs"]]
        argument = node["value_inputs"][0] if node["value_inputs"] else None
        everything = set(range(len(scene.objects)))
        if kind == "scene":
            return everything
        if kind.startswith("filter_"):
            return {item for item in inputs[0] if attribute(item, kind.removeprefix("filter_")) == argument}
        if kind == "unique":
            if len(inputs[0]) != 1:
                raise NotOneError
            return next(iter(inputs[0]))
        if kind == "relate":
            return related(argument, inputs[0])
        if kind.startswith("same_"):
            name = kind.removeprefix("same_")
            return {item for item in everything - {inputs[0]} if attribute(item, name) == attribute(inputs[0], name)}
        if kind == "union":
            return inputs[0] | inputs[1]
        if kind == "intersect":
            return inputs[0] & inputs[1]
        if kind == "count":
            return str(len(inputs[0]))
        if kind == "exist":
            return "yes" if inputs[0] else "no"
        if kind.startswith("query_"):
            return attribute(inputs[0], kind.removeprefix("query_"))
        if kind.startswith("equal_"):
            return "yes" if inputs[0] == inputs[1] else "no"
        if kind == "less_than":
            return "yes" if int(inputs[0]) < int(inputs[1]) else "no"
        if kind == "greater_than":
            return "yes" if int(inputs[0]) > int(inputs[1]) else "no"
        raise AssertionError(kind)

    try:
        return value(len(program) - 1)
    except NotOneError:
        return None
