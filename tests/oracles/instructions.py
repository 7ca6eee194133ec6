"""Read an edit instruction back and follow it, slowly and literally, with its own words and its own geometry.

Only the sentences' frames come from the product; what fills them is parsed here, and every way to read
the text is followed, so that an ambiguous text gives more than one result.
"""

import itertools
import re

import numpy as np

from trilingua.data.clevr.instruction_templates import SENTENCES
from trilingua.scenes.scene import Scene

ATTRIBUTE_OF = {}
VALUE_OF = {}
for _attribute, _line in {
    "size": "small=small tiny=small large=large big=large",
    "color": "gray=gray red=red blue=blue green=green brown=brown purple=purple cyan=cyan yellow=yellow",
    "material": "rubber=rubber matte=rubber metal=metal metallic=metal shiny=metal",
    "shape": "cube=cube block=cube sphere=sphere ball=sphere cylinder=cylinder",
}.items():
    for _pair in _line.split():
        _word, _value = _pair.split("=")
        ATTRIBUTE_OF[_word], VALUE_OF[_word] = _attribute, _value

WORD = "(?:" + "|".join(ATTRIBUTE_OF) + ")"
NOUN = f"(?:{WORD} )*(?:cube|block|sphere|ball|cylinder|object|thing)"
PLAIN = f"the {NOUN}"
RELATION = {
    "left": r"to the left of|left of|on the left side of",
    "right": r"to the right of|right of|on the right side of",
    "front": r"in front of|on the front side of",
    "behind": r"behind|on the back side of",
}
ANY_RELATION = "|".join(RELATION.values())
RELATED = f"the (?:closest )?{NOUN} (?:that is |which stands )?(?:{ANY_RELATION}) {PLAIN}"
BESIDE = rf"[a-z, ]*?{PLAIN}(?:, [a-z ]+?)?"
BETWEEN = rf"(?:midway )?between {PLAIN} and {PLAIN}"
SLOTS = {
    "object": f"{RELATED}|{PLAIN}",
    "new": f"a {NOUN}",
    "place": f"{BETWEEN}|{BESIDE}",
    "way": r"[a-z ]+",
    "properties": rf"{WORD} (?:size|color|material|shape)(?:(?:, | and ){WORD} (?:size|color|material|shape))*",
    "phrase": f"a {NOUN}",
    "assignments": rf"its [a-z]+ to {WORD}(?:(?:, | and )its [a-z]+ to {WORD})*",
    "gifts": rf"a {WORD} [a-z]+(?:(?:, | and )a {WORD} [a-z]+)*",
}
RADIUS = {"small": 0.35, "large": 0.7}


def readings(text):
    """Return every (type, sentence, slots) that the text can be read as."""
    found = []
    for kind, sentences in SENTENCES.items():
        for sentence in sentences:
            parts = re.split(r"\{(\w+)\}", sentence)
            pattern = "".join(
                f"(?P<{part}>{SLOTS[part]})" if number % 2 else re.escape(part) for number, part in enumerate(parts)
            )
            match = re.fullmatch(pattern, text, re.IGNORECASE)
            if match:
                found.append((kind, sentence, {name: value.lower() for name, value in match.groupdict().items()}))
    return found


def values_in(text):
    named = [word for word in re.findall(r"[a-z]+", text) if word in ATTRIBUTE_OF]
    assert len({ATTRIBUTE_OF[word] for word in named}) == len(named), text
    for word, attribute in re.findall(rf"({WORD}) (size|color|material|shape)\b", text):
        assert ATTRIBUTE_OF[word] == attribute, text
    return {ATTRIBUTE_OF[word]: VALUE_OF[word] for word in named}


def candidates(scene: Scene, noun):
    wanted = values_in(noun)
    return [i for i, o in enumerate(scene.objects) if all(getattr(o, k) == v for k, v in wanted.items())]


def only(indices):
    assert len(indices) == 1, f"{len(indices)} objects fit"
    return indices[0]


def position(scene, index):
    return np.array(scene.objects[index].location[:2])


def direction(scene, name):
    return np.array(scene.directions[name][:2])


def referent(scene: Scene, text):
    """Return the one object that a reference means."""
    if re.fullmatch(PLAIN, text):
        return only(candidates(scene, text))
    closest, noun, relation, reference = re.fullmatch(
        rf"the (closest )?({NOUN}) (?:that is |which stands )?({ANY_RELATION}) ({PLAIN})", text
    ).groups()
    name = only([name for name, phrases in RELATION.items() if re.fullmatch(phrases, relation)])
    anchor = only(candidates(scene, reference))
    there = [
        i
        for i in candidates(scene, noun)
        if (position(scene, i) - position(scene, anchor)) @ direction(scene, name) > 0.2
    ]
    if not closest:
        return only(there)
    far = sorted((float(np.linalg.norm(position(scene, i) - position(scene, anchor))), i) for i in there)
    assert len(far) > 1
    assert far[1][0] - far[0][0] >= 0.2 - 1e-9
    return far[0][1]


SIDE_WORDS = {"left": r"left", "right": r"right", "front": r"front", "behind": r"behind|back side"}
WAY_WORDS = {
    "left": r"left|leftwards",
    "right": r"right|rightwards",
    "front": r"front|forwards|towards the viewer",
    "behind": r"back|backwards|away from the viewer",
}


def named(words, text):
    return [name for name, pattern in words.items() if re.search(rf"\b(?:{pattern})\b", text)]


def grid(xy):
    return np.round(np.asarray(xy) / 0.05) * 0.05


def place_of(scene, text, size):
    """Return x and y of a new object of this size at the place that the text says."""
    references = re.findall(PLAIN, text)
    if "between" in text:
        first, second = (position(scene, only(candidates(scene, reference))) for reference in references)
        return grid((first + second) / 2)
    (reference,) = references
    anchor = only(candidates(scene, reference))
    rest = text.replace(reference, "X")
    gap = 1.5 if re.match("far|a long way", rest) else 0.3 if re.match("close|near", rest) else 0.6
    along = sum(direction(scene, name) for name in named(SIDE_WORDS, rest))
    along = along / np.linalg.norm(along)
    distance = RADIUS[size] + RADIUS[scene.objects[anchor].size] + gap
    return grid(position(scene, anchor) + distance * along)


def follow(scene: Scene, kind, slots):
    """Return the objects of the target as tuples (size, color, material, shape, x, y, z)."""
    rows = [[o.size, o.color, o.material, o.shape, *o.location] for o in scene.objects]
    names = ["size", "color", "material", "shape"]
    if kind == "insertion":
        values = values_in(slots["new"])
        x, y = place_of(scene, slots["place"], values["size"])
        return [*rows, [*(values[name] for name in names), x, y, RADIUS[values["size"]]]]
    index = referent(scene, slots["object"])
    if kind == "removal":
        return rows[:index] + rows[index + 1 :]
    if kind == "moving":
        directions = named(WAY_WORDS, slots["way"])
        assert 1 <= len(directions) <= 2
        rows[index][4:6] = grid(position(scene, index) + sum(direction(scene, name) for name in directions))
        return rows
    values = values_in(next(slots[name] for name in ("properties", "phrase", "assignments", "gifts") if name in slots))
    assert 1 <= len(values) <= 3
    for name, value in values.items():
        assert rows[index][names.index(name)] != value
        rows[index][names.index(name)] = value
    rows[index][6] = RADIUS[rows[index][0]]
    return rows


def problem(scene: Scene):
    """Return the first pair of objects that collide, an object out of range, or None."""
    for item in scene.objects:
        if max(abs(value) for value in item.location[:2]) > 3:
            return item
    for one, other in itertools.combinations(scene.objects, 2):
        distance = np.linalg.norm(np.subtract(one.location[:2], other.location[:2]))
        if distance - RADIUS[one.size] - RADIUS[other.size] < 0.25:
            return one, other
    return None
