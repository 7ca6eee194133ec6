"""A scene in words, for people to read; programs read the JSON, models read tokens."""

from trilingua.scenes.scene import Scene


def describe(scene: Scene) -> str:
    """Return one line for each object: words, place in metres, turn in degrees and score, as far as known."""
    if not scene.objects:
        return "(no objects)"
    lines = []
    for index, item in enumerate(scene.objects):
        x, y, z = item.location
        line = f"{index}: {item.size} {item.color} {item.material} {item.shape} at ({x:.2f}, {y:.2f}, {z:.2f}) m"
        if item.rotation_degrees is not None:
            line += f", turned {item.rotation_degrees:.0f} degrees"
        if item.score is not None:
            line += f", score {item.score:.2f}"
        lines.append(line)
    return "\n".join(lines)
