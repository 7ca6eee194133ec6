"""Procedural things of house and garden: mug, bottle, house, tree, snowman, mushroom, robot. One program a family."""

import math

import numpy as np

from trilingua.data.shapes.design import BRIGHT, SIDES, Design, Dice, Family, article, bands, count, listed, paint
from trilingua.data.shapes.solids import Part, ball, box, hull, lathe, post, prism, ring, rod

_FRUIT_PLACES = (
    (-2.2, 0.1), (-1.2, 0.5), (-0.6, -0.25), (-1.6, -0.2), (0.4, 0.3), (2.0, 0.2), (3.0, -0.1), (1.2, -0.2)
)  # fmt: skip
"""Angles around and above the horizon, in radians, of the fruits of a round crown."""


def mug(dice: Dice, color: str, form: str) -> Design:
    """Return a mug, hollow; its form is the outline."""
    tall = dice.chance(0.5)
    radius, height = dice.between(0.038, 0.043), dice.between(0.105, 0.125) if tall else dice.between(0.075, 0.088)
    wall = 0.005
    low, belly = {"straight": (radius, radius), "tapered": (radius * 0.72, radius * 0.86),
                  "round": (radius * 0.7, radius * 1.13)}[form]  # fmt: skip
    steps = np.linspace(0, 1, 13)
    # A parabola through the radii at the bottom, the middle and the rim.
    radii = low * (1 - steps) * (1 - 2 * steps) + belly * 4 * steps * (1 - steps) + radius * steps * (2 * steps - 1)
    outer = [(float(r), float(z * height)) for r, z in zip(radii, steps, strict=True)]
    inner = [(r - wall, max(z, 0.007)) for r, z in outer[1:]][::-1]
    solid = lathe([(0, 0), *outer, *inner, (0, 0.007)])
    striped = dice.chance(0.5)
    stripe = dice.other(("white", *BRIGHT), color)
    upright = dice.chance(0.3)
    parts = [paint(solid, color, bands=bands(stripe, 0 if upright else 2, height / 5) if striped else None)]
    sizes = {"big": 0.32, "small": 0.22}
    size = dice.pick(tuple(sizes))
    handle = ring(height * sizes[size], 0.0055, (0, 0, 0), 1)
    middle = float(np.interp(0.52, steps, radii))
    hollow = lathe([(0, 0.007), *[(r - wall / 2, z) for r, z in outer[1:]], (0, height)])
    handle_color = color if not dice.chance(0.3) else dice.other(BRIGHT, color, stripe)
    parts.append(paint(handle.translate((middle + 0.002, 0, height * 0.52)) - hollow, handle_color))
    direction = "upright " if upright else ""
    skin = f" with {direction}{stripe} stripes" if striped else ""
    words = "" if handle_color == color else f"{handle_color} "
    join = " and" if striped else " with"
    return Design(
        parts=parts,
        caption=f"a {'tall' if tall else 'short'} {form} {color} mug{skin}{join} a {size} {words}handle",
        attributes={"height": "tall" if tall else "short", "handle": size, "striped": int(striped)},
    )


def bottle(dice: Dice, color: str, form: str) -> Design:
    """Return a bottle; its form is the shoulder."""
    slim = dice.chance(0.5)
    radius, height = (0.036, dice.between(0.26, 0.3)) if slim else (0.052, dice.between(0.2, 0.24))
    neck = radius * dice.between(0.32, 0.4)
    shoulder = {"sloping": 0.5, "round": 0.62, "square": 0.66}[form] * height
    profile = [(0.0, 0.0), (radius * 0.92, 0.0), (radius, 0.006), (radius, shoulder)]
    rise = {"sloping": 0.32, "round": 0.14, "square": 0.03}[form] * height
    for step in np.linspace(0.1, 1, 10):
        if form == "round":
            r = neck + (radius - neck) * math.cos(step * math.pi / 2)
            z = shoulder + rise * math.sin(step * math.pi / 2)
        else:
            r, z = radius + (neck - radius) * step, shoulder + rise * step
        profile.append((r, z))
    profile += [(neck, height), (0.0, height)]
    parts = [paint(lathe(profile), color)]
    cap = dice.other(("red", "yellow", "white", "black", "blue"), color)
    parts.append(paint(post(neck * 1.25, height - 0.022, height + 0.012), cap))
    said = [f"{article(cap)} cap"]
    if dice.chance(0.65):
        label = dice.other(("white", "yellow", "beige", "orange"), color, cap)
        low, high = shoulder * 0.28, shoulder * 0.82
        checked = dice.chance(0.3)
        pattern = bands(color, 2, (high - low) / 5) if checked else None
        parts.append(paint(post(radius + 0.0012, low, high), label, bands=pattern))
        said.append(f"{article(label)} {'striped ' if checked else ''}label")
    return Design(
        parts=parts,
        caption=f"a {'slim' if slim else 'stout'} {color} bottle with {listed([f'a {form} shoulder', *said])}",
        attributes={"build": "slim" if slim else "stout", "cap": cap},
    )


def house(dice: Dice, color: str, form: str) -> Design:
    """Return a house; its form is the roof, its colour the walls'."""
    width, depth, height = dice.between(5.5, 7.5), dice.between(4.5, 5.5), dice.between(2.8, 3.2)
    storeys = dice.pick((1, 2))
    height *= 1 if storeys == 1 else 1.75
    parts = [paint(box((width, depth, height), (0, 0, height / 2)), color)]
    roof = dice.other(("red", "brown", "gray", "orange", "blue"), color)
    over, rise = 0.35, dice.between(1.6, 2.2)
    x, y = width / 2 + over, depth / 2 + over
    if form == "gable":
        outline = [(-y, height - 0.05), (y, height - 0.05), (y, height + 0.1), (0, height + rise), (-y, height + 0.1)]
        parts.append(paint(prism(outline, 0, -x, x), roof))
    elif form == "pyramid":
        corners = [(sx * x, sy * y, z) for sx in SIDES for sy in SIDES for z in (height - 0.05, height + 0.1)]
        ridge = max(width - depth, 0.4) / 2
        corners += [(-ridge, 0.0, height + rise), (ridge, 0.0, height + rise)]
        parts.append(paint(hull(corners), roof))
    else:
        slab = box((2 * x, 2 * y, 0.35), (0, 0, height + 0.12))
        parts.append(paint(slab - box((2 * x - 0.5, 2 * y - 0.5, 0.3), (0, 0, height + 0.3)), roof))
    door = dice.other(("brown", "red", "green", "blue", "white"), color, roof)
    front = -depth / 2
    side = dice.pick((-1, 0, 1))
    place = side * width * 0.28
    parts.append(paint(box((1.05, 0.14, 2.1), (place, front, 1.05)), door))
    windows = 0
    pane = dice.pick(("blue", "yellow"))
    frame = "white" if color != "white" else "brown"
    for level in range(storeys):
        for spot in (-1, 0, 1):
            if level == 0 and spot == side:
                continue
            z = 1.55 + level * height * 0.5
            parts.append(paint(box((1.2, 0.12, 1.2), (spot * width * 0.28, front, z)), frame))
            for part in SIDES:
                parts.append(paint(box((0.46, 0.2, 0.98), (spot * width * 0.28 + part * 0.27, front, z)), pane))
            windows += 1
    said = [f"{article(f'{roof} {form}')} roof", f"{article(door)} door " + {-1: "on the left", 0: "in the middle",
            1: "on the right"}[side], count(windows, "window")]  # fmt: skip
    if dice.chance(0.6):
        spot = dice.pick((-1, 1))
        above = rise * 0.95 if form != "flat" else 1.0
        parts.append(paint(box((0.7, 0.7, above + 0.6), (spot * width * 0.26, 0.4, height + (above - 0.1) / 2)),
                           "gray" if roof != "gray" else "brown"))  # fmt: skip
        said.append(f"a chimney on the {'left' if spot < 0 else 'right'}")
    return Design(
        parts=parts,
        caption=f"a {'one' if storeys == 1 else 'two'}-storey {color} house with {listed(said)}",
        attributes={"storeys": storeys, "roof": roof, "door": door, "windows": windows},
    )


def tree(dice: Dice, color: str, form: str) -> Design:
    """Return a tree; its form is the crown."""
    trunk = dice.between(0.9, 1.5)
    radius = dice.between(0.11, 0.17)
    tall = trunk > 1.2
    bark = dice.pick(("brown", "gray"))
    parts = [paint(post(radius * 1.25, 0, trunk + 0.4, top=radius * 0.8), bark)]
    size = dice.between(0.75, 0.95)
    layers = 1
    spots: list[tuple[float, float, float]] = []
    if form == "round":
        parts.append(paint(ball(size, (0, 0, trunk + size * 0.8), stretch=(1, 1, 0.95)), color))
        middle = trunk + size * 0.8
        for turn, rise in _FRUIT_PLACES:
            level = size * math.cos(rise)
            spots.append((level * math.cos(turn), level * math.sin(turn), middle + size * 0.95 * math.sin(rise)))
    elif form == "cloud":
        for number in range(5):
            angle = number * 2 * math.pi / 5 + 0.3
            spot = (
                0.5 * size * math.cos(angle),
                0.5 * size * math.sin(angle),
                trunk + size * (0.55 + 0.12 * (number % 2)),
            )
            parts.append(paint(ball(size * 0.62, spot), color))
        parts.append(paint(ball(size * 0.7, (0, 0, trunk + size * 1.1)), color))
    else:
        layers = dice.pick((2, 3, 4))
        step = size * 0.62
        for number in range(layers):
            r = size * (1 - 0.2 * number)
            low = trunk - 0.25 + number * step
            parts.append(paint(post(r, low, low + size * 1.05, top=r * 0.04), color))
    said = [f"{article(f'{color} {form}')} crown" if form != "fir" else f"{count(layers, f'{color} layer')}",
            f"a {'tall' if tall else 'short'} {bark} trunk"]  # fmt: skip
    fruits = ""
    if spots and dice.chance(0.6):
        fruits = dice.other(("red", "orange", "yellow", "purple"), color)
        parts.extend(paint(ball(0.1, spot), fruits) for spot in spots)
        said.append(f"{fruits} fruits")
    kind = "fir" if form == "fir" else "tree"
    return Design(
        parts=parts,
        caption=f"a {kind} with {listed(said)}",
        attributes={"trunk": bark, "height": "tall" if tall else "short", "fruits": fruits or "none"},
    )


def snowman(dice: Dice, color: str, form: str) -> Design:
    """Return a snowman; its form is the number of its balls, its colour the scarf's."""
    balls = {"two": 2, "three": 3}[form]
    radii = [0.5, 0.36, 0.26] if balls == 3 else [0.5, 0.33]
    heights, z = [], 0.0
    for radius in radii:
        heights.append(z + radius * 0.92)
        z += radius * 1.6
    parts = [paint(ball(r, (0, 0, h)), "white") for r, h in zip(radii, heights, strict=True)]
    head, top = radii[-1], heights[-1]
    neck = top - head * 0.78
    parts.append(paint(ring(head * 0.72, head * 0.24, (0, 0, neck), 2), color))
    parts.append(paint(box((0.13, 0.07, 0.34), (head * 0.5, -head * 0.88, neck - 0.15)).rotate((0, 0, 0)), color))
    parts.append(paint(rod((0, -head * 0.8, top), (0, -head * 1.9, top - 0.02), head * 0.2, 0.008), "orange"))
    for x in SIDES:
        parts.append(paint(ball(head * 0.13, (x * head * 0.36, -head * 0.86, top + head * 0.3)), "black"))
    buttons = dice.pick((2, 3))
    body_radius, body = radii[-2], heights[-2]
    for number in range(buttons):
        angle = 0.32 - 0.36 * number
        spot = (0, -body_radius * math.cos(angle), body + body_radius * math.sin(angle))
        parts.append(paint(ball(0.045, spot), "black"))
    arms = dice.chance(0.65)
    if arms:
        for x in SIDES:
            start = (x * body_radius * 0.8, 0, body + 0.08)
            end = (x * (body_radius + 0.45), -0.05, body + 0.34)
            parts.append(paint(rod(start, end, 0.03, 0.022), "brown"))
            fork = (x * (body_radius + 0.3), -0.035, body + 0.255)
            parts.append(paint(rod(fork, (x * (body_radius + 0.34), -0.04, body + 0.45), 0.02, 0.016), "brown"))
    said = [f"{article(color)} scarf", count(buttons, "button")]
    if arms:
        said.append("two stick arms")
    hat = dice.pick(("top hat", "cap", "none"))
    hat_color = dice.other(("black", "red", "blue", "green"), color)
    if hat == "top hat":
        brim = top + head * 0.72
        parts.append(paint(post(head * 1.05, brim, brim + 0.04), hat_color))
        parts.append(paint(post(head * 0.66, brim, brim + head * 1.25), hat_color))
    elif hat == "cap":
        cap = ball(head * 1.06, (0, 0, top + 0.02)).trim_by_plane((0.0, 0.0, 1.0), top + head * 0.42)
        parts.append(paint(cap, hat_color))
        parts.append(paint(ball(head * 0.26, (0, 0, top + head * 1.15)), "white"))
    if hat != "none":
        said.append(f"{article(hat_color)} {hat}")
    return Design(
        parts=parts,
        caption=f"a snowman of {form} balls with {listed(said)}",
        attributes={"buttons": buttons, "hat": hat, "arms": int(arms)},
    )


def mushroom(dice: Dice, color: str, form: str) -> Design:
    """Return a mushroom; its form is the cap."""
    height, thick = dice.between(0.07, 0.11), dice.chance(0.5)
    stem = dice.between(0.016, 0.021) if thick else dice.between(0.007, 0.01)
    radius = dice.between(0.05, 0.062)
    foot = [(0, 0), (stem * 1.5, 0), (stem * 1.35, height * 0.2), (stem, height * 0.55)]
    parts = [paint(lathe([*foot, (stem, height + 0.01), (0, height + 0.01)]), "beige")]
    angles = np.linspace(0.12, math.pi / 2, 14)
    rise = {"domed": 0.85, "pointed": 1.35, "flat": 0.4}[form] * radius
    power = {"domed": 1.0, "pointed": 1.6, "flat": 0.7}[form]
    outer = [(float(radius * math.cos(a) ** power), float(height + rise * math.sin(a))) for a in angles[:-1]]
    cap = lathe([(0, height - 0.002), (radius * 0.9, height - 0.004), *outer, (0, height + rise)])
    parts.append(paint(cap, color))
    dots = dice.chance(0.6)
    spot_color = "white" if color != "white" else "brown"
    if dots:
        for ring_number, (elevation, number) in enumerate(((0.45, 7), (0.9, 5), (1.5, 1))):
            r, z = radius * math.cos(elevation) ** power, height + rise * math.sin(elevation)
            for index in range(number):
                angle = 2 * math.pi * (index + 0.5 * ring_number) / number - math.pi / 2
                spot = (r * math.cos(angle), r * math.sin(angle), z)
                parts.append(paint(ball(radius * 0.14, spot), spot_color))
    companion = dice.chance(0.4)
    said = [f"a {'thick' if thick else 'thin'} beige stem"]
    if dots:
        said.append(f"{spot_color} dots")
    if companion:
        side = dice.pick((-1, 1))
        x, small = side * radius * 1.15, radius * 0.5
        parts.append(paint(post(stem * 0.7, 0, height * 0.5, at=(x, -0.01)), "beige"))
        dome = ball(small, (x, -0.01, height * 0.45)).trim_by_plane((0.0, 0.0, 1.0), height * 0.44)
        parts.append(paint(dome, color))
        parts.append(paint(ball(1, (side * radius * 0.5, 0, 0), stretch=(radius * 1.2, radius * 0.7, 0.012))
                           .trim_by_plane((0.0, 0.0, 1.0), 0.0), "green"))  # fmt: skip
        said.append(f"a small one on its {'left' if side < 0 else 'right'}")
    return Design(
        parts=parts,
        caption=f"{article(f'{color} mushroom')} with {listed([f'a {form} cap', *said])}",
        attributes={"dots": int(dots), "stem": "thick" if thick else "thin", "mushrooms": 1 + int(companion)},
    )


def robot(dice: Dice, color: str, form: str) -> Design:
    """Return a toy robot; its form is what it stands on."""
    second = dice.other(BRIGHT, color)
    body = 0.9
    base = {"legs": 0.62, "wheels": 0.42, "tracks": 0.4}[form]
    parts: list[Part] = [paint(box((0.8, 0.5, body), (0, 0, base + body / 2)), color)]
    if form == "legs":
        for x in SIDES:
            parts.append(paint(post(0.1, 0.05, base + 0.02, at=(x * 0.22, 0)), "gray"))
            parts.append(paint(box((0.28, 0.5, 0.14), (x * 0.22, -0.08, 0.07)), second))
    elif form == "wheels":
        for x in SIDES:
            for y in SIDES:
                parts.append(paint(rod((x * 0.28, y * 0.2, 0.24), (x * 0.5, y * 0.2, 0.24), 0.24), "black"))
                parts.append(paint(rod((x * 0.28, y * 0.2, 0.24), (x * 0.53, y * 0.2, 0.24), 0.12), second))
        parts.append(paint(box((0.66, 0.4, 0.3), (0, 0, 0.36)), "gray"))
    else:
        for x in SIDES:
            outline = [
                (-0.5, 0.13),
                (-0.38, 0.0),
                (0.38, 0.0),
                (0.5, 0.13),
                (0.5, 0.3),
                (0.38, 0.43),
                (-0.38, 0.43),
                (-0.5, 0.3),
            ]
            low, high = sorted((x * 0.28, x * 0.54))
            parts.append(paint(prism(outline, 0, low, high), "black"))
        parts.append(paint(box((0.6, 0.5, 0.3), (0, 0, 0.3)), second))
    round_head = dice.chance(0.4)
    top = base + body
    parts.append(paint(post(0.12, top - 0.02, top + 0.16), "gray"))
    if round_head:
        parts.append(paint(ball(0.32, (0, 0, top + 0.38)), color))
    else:
        parts.append(paint(box((0.62, 0.46, 0.46), (0, 0, top + 0.36)), color))
    front = -0.3 if round_head else -0.23
    for x in SIDES:
        parts.append(
            paint(rod((x * 0.14, front + 0.12, top + 0.42), (x * 0.14, front - 0.03, top + 0.42), 0.085), "yellow")
        )
        parts.append(
            paint(rod((x * 0.14, front + 0.12, top + 0.42), (x * 0.14, front - 0.05, top + 0.42), 0.04), "black")
        )
    parts.append(paint(box((0.26, 0.06, 0.05), (0, front + (0.03 if round_head else 0), top + 0.22)), "black"))
    antennas = dice.pick((1, 2))
    for number in range(antennas):
        x = (number - (antennas - 1) / 2) * 0.3
        parts.append(paint(rod((x * 0.7, 0, top + 0.5), (x, 0, top + 0.82), 0.022), "gray"))
        parts.append(paint(ball(0.06, (x, 0, top + 0.85)), second))
    raised = dice.chance(0.5)
    for x in SIDES:
        end = (x * 0.72, -0.1, top + 0.12) if raised else (x * 0.62, -0.06, base + 0.1)
        parts.append(paint(rod((x * 0.36, 0, top - 0.2), end, 0.08), "gray"))
        parts.append(paint(ball(0.13, end), second))
    parts.append(paint(box((0.46, 0.06, 0.36), (0, -0.25, base + body * 0.55)), second))
    for number in range(3):
        spot = (-0.14 + 0.14 * number, -0.27, base + body * 0.6)
        parts.append(paint(ball(0.05, spot), ("red", "yellow", "blue")[number] if second != "red" else "white"))
    head = "a round" if round_head else "a square"
    below = {"legs": "two legs", "wheels": "four wheels", "tracks": "two tracks"}[form]
    return Design(
        parts=parts,
        caption=f"{article(f'{color} and {second} robot')} with {head} head, {count(antennas, 'antenna')}, {below} and "
        f"{'raised' if raised else 'hanging'} arms",
        attributes={
            "second": second,
            "antennas": antennas,
            "head": head[2:],
            "arms": "raised" if raised else "hanging",
        },
    )


_BOTTLES = ("green", "brown", "blue", "red", "purple", "white")
_WALLS = ("white", "beige", "yellow", "pink", "blue", "green", "red")
_CROWNS = ("green", "orange", "red", "yellow", "pink")
_CAPS = ("red", "brown", "orange", "purple", "yellow", "white")

BELONGINGS = (
    Family(name="mug", colors=(*BRIGHT, "white", "black"), forms=("straight", "tapered", "round"), design=mug),
    Family(name="bottle", colors=_BOTTLES, forms=("sloping", "round", "square"), design=bottle),
    Family(name="house", colors=_WALLS, forms=("gable", "pyramid", "flat"), design=house),
    Family(name="tree", colors=_CROWNS, forms=("round", "cloud", "fir"), design=tree),
    Family(name="snowman", colors=BRIGHT, forms=("two", "three"), design=snowman),
    Family(name="mushroom", colors=_CAPS, forms=("domed", "pointed", "flat"), design=mushroom),
    Family(name="robot", colors=(*BRIGHT, "white", "gray"), forms=("legs", "wheels", "tracks"), design=robot),
)
