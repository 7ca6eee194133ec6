"""Procedural furniture: chair, stool, table, bench, bed, shelf, lamp. Each program is one family, sizes in metres."""

import math

from trilingua.data.shapes.design import (
    BRIGHT,
    SIDES,
    Design,
    Dice,
    Family,
    article,
    bands,
    built_of,
    count,
    listed,
    paint,
    stuff,
)
from trilingua.data.shapes.solids import Part, ball, box, lathe, post, ring, rod

_WOODEN = ("brown", "beige", "white", "red", "blue", "green", "black")


def _legs(dice: Dice, color: str, material: str, width: float, depth: float, height: float) -> tuple[list[Part], str]:
    """Return four legs under the corners of a seat or top, and the words for them."""
    thick = dice.chance(0.5)
    round_ones = dice.chance(0.4)
    radius = dice.between(0.034, 0.042) if thick else dice.between(0.016, 0.021)
    x, y = width / 2 - radius - 0.01, depth / 2 - radius - 0.01
    parts = []
    for side in (-x, x):
        for place in (-y, y):
            if round_ones:
                solid = post(radius, 0, height, at=(side, place))
            else:
                solid = box((2 * radius, 2 * radius, height), (side, place, height / 2))
            parts.append(built_of(solid, color, material, 2, 1.0))
    words = " ".join(["thick" if thick else "thin", *(["round"] if round_ones else [])])
    return parts, f"four {words} legs"


def chair(dice: Dice, color: str, form: str) -> Design:
    """Return a chair; its form is the back."""
    material = stuff(dice, color)
    width, depth = dice.between(0.42, 0.5), dice.between(0.42, 0.5)
    height, seat = dice.between(0.42, 0.48), 0.05
    tall = dice.chance(0.5)
    back = dice.between(0.52, 0.6) if tall else dice.between(0.28, 0.34)
    parts, legs = _legs(dice, color, material, width, depth, height)
    parts.append(built_of(box((width, depth, seat), (0, 0, height + seat / 2)), color, material, 0, 0.08))
    base, wall = height + seat, 0.04
    y = depth / 2 - wall / 2
    if form == "solid":
        solid = box((width, wall, back + 0.02), (0, y, base + back / 2 - 0.01))
        parts.append(built_of(solid, color, material, 0, 0.08))
    elif form == "slatted":
        for x in SIDES:
            parts.append(paint(box((wall, wall, back), (x * (width - wall) / 2, y, base + back / 2 - 0.001)), color))
        slats = 3 if tall else 2
        for number in range(slats):
            z = base + back - 0.05 - number * back / (slats + 0.3)
            parts.append(paint(box((width, wall * 0.6, 0.07), (0, y, z)), color))
    else:
        radius = width / 2
        parts.append(paint(ball(1, (0, y, base + back * 0.55), stretch=(radius, wall * 0.8, back * 0.5)), color))
        for x in SIDES:
            parts.append(paint(rod((x * radius * 0.6, y, base - 0.02), (x * radius * 0.6, y, base + back / 2), 0.02),
                               color))  # fmt: skip
    said = [legs, f"a {'tall' if tall else 'low'} {form} back"]
    facts: dict[str, str | int] = {"material": material, "back": form, "back_height": "tall" if tall else "low"}
    if dice.chance(0.35):
        said.append("two armrests")
        facts["armrests"] = 2
        for x in SIDES:
            place = x * (width / 2 + 0.005)
            parts.append(paint(box((0.05, depth, 0.035), (place, 0, base + 0.2)), color))
            parts.append(paint(box((0.035, 0.035, 0.22), (place, -depth / 2 + 0.05, base + 0.09)), color))
    if dice.chance(0.4):
        cushion = dice.other(BRIGHT, color)
        said.append(f"{article(cushion)} cushion on the seat")
        facts["cushion"] = cushion
        solid = ball(1, (0, -0.01, base + 0.01), stretch=(width * 0.45, depth * 0.42, 0.05))
        parts.append(paint(solid, cushion))
    return Design(parts=parts, caption=f"{article(f'{color} {material} chair')} with {listed(said)}", attributes=facts)


def stool(dice: Dice, color: str, form: str) -> Design:
    """Return a stool; its form is the number of its legs."""
    legs = {"three": 3, "four": 4, "five": 5}[form]
    tall, square = dice.chance(0.5), dice.chance(0.35)
    height = dice.between(0.66, 0.75) if tall else dice.between(0.38, 0.45)
    seat = dice.between(0.17, 0.2)
    metal = dice.chance(0.5)
    leg_color = "gray" if metal else color
    if square:
        top = box((2 * seat, 2 * seat, 0.05), (0, 0, height))
    else:
        top = lathe([(0, height - 0.03), (seat, height - 0.03), (seat, height), (seat - 0.015, height + 0.02),
                     (0, height + 0.02)])  # fmt: skip
    parts = [paint(top, color)]
    spread = dice.between(0.2, 0.26)
    feet = [math.radians(90 + 360 * (number + 0.5) / legs) for number in range(legs)]
    for angle in feet:
        x, y = math.cos(angle), math.sin(angle)
        parts.append(paint(rod((spread * x, spread * y, 0), (seat * 0.6 * x, seat * 0.6 * y, height), 0.021, 0.018),
                           leg_color))  # fmt: skip
    said = [f"{'a square' if square else 'a round'} seat", f"{form} {'metal ' if metal else ''}legs"]
    if tall or dice.chance(0.3):
        z = height * 0.36
        radius = spread + (seat * 0.6 - spread) * z / height
        parts.append(paint(ring(radius, 0.014, (0, 0, z), 2), leg_color))
        said.append("a footring")
    size = "tall" if tall else "low"
    return Design(
        parts=parts,
        caption=f"a {size} {color} stool with {listed(said)}",
        attributes={"height": size, "legs": legs, "seat": "square" if square else "round"},
    )


def table(dice: Dice, color: str, form: str) -> Design:
    """Return a table; its form is the outline of the top."""
    material = stuff(dice, color)
    low = dice.chance(0.35)
    height = dice.between(0.4, 0.46) if low else dice.between(0.7, 0.76)
    thick = 0.05
    round_top = form == "round"
    width = dice.between(0.9, 1.1) if form != "rectangular" else dice.between(1.3, 1.6)
    depth = dice.between(0.65, 0.8) if form == "rectangular" else width
    if round_top:
        parts = [built_of(post(width / 2, height, height + thick), color, material, 0, 0.14)]
    else:
        parts = [built_of(box((width, depth, thick), (0, 0, height + thick / 2)), color, material, 1, 0.13)]
    pedestal = round_top and dice.chance(0.6)
    if pedestal:
        parts.append(paint(post(0.06, 0.02, height + 0.01), color))
        parts.append(paint(post(width * 0.3, 0, 0.05, top=width * 0.24), color))
        said = ["one thick pedestal"]
    else:
        shrink = 0.72 if round_top else 0.96
        legs, words = _legs(dice, color, material, width * shrink, depth * shrink, height + 0.01)
        parts.extend(legs)
        said = [words]
    facts: dict[str, str | int] = {"material": material, "height": "low" if low else "high"}
    if not pedestal and dice.chance(0.35):
        parts.append(paint(box((width * 0.68, depth * 0.66, 0.03), (0, 0, height * 0.3)), color))
        for x in SIDES:
            parts.append(paint(box((0.03, depth * 0.9, 0.03), (x * width * 0.33, 0, height * 0.3)), color))
        said.append("a board between the legs")
    if dice.chance(0.4):
        vase = dice.other(BRIGHT, color)
        z, r = height + thick - 0.005, width * 0.075
        parts.append(paint(lathe([(0, z), (r * 0.7, z), (r, z + r * 1.3), (r * 0.45, z + r * 2.4),
                                  (r * 0.65, z + r * 2.9), (0, z + r * 2.9)]), vase))  # fmt: skip
        said.append(f"{article(vase)} vase on the top")
        facts["vase"] = vase
    size = "low" if low else "high"
    return Design(
        parts=parts, caption=f"a {size} {form} {color} {material} table with {listed(said)}", attributes=facts
    )


def bench(dice: Dice, color: str, form: str) -> Design:
    """Return a bench; its form is what the seat is made of."""
    width, depth, height = dice.between(1.3, 1.7), 0.45, dice.between(0.42, 0.46)
    has_back = dice.chance(0.6)
    slats = dice.pick((3, 4)) if form == "slatted" else 1
    parts = []
    for number in range(slats):
        step = depth / slats
        y = -depth / 2 + (number + 0.5) * step
        parts.append(paint(box((width, step * (0.76 if slats > 1 else 1), 0.045), (0, y, height)), color))
    stone = dice.chance(0.45)
    leg_color = "gray" if stone else "black"
    for x in SIDES:
        place = x * width * 0.38
        if stone:
            parts.append(paint(box((0.12, depth * 0.9, height), (place, 0, height / 2)), leg_color))
        else:
            for y in SIDES:
                parts.append(paint(box((0.05, 0.05, height), (place, y * depth * 0.38, height / 2)), leg_color))
            parts.append(paint(box((0.05, depth * 0.9, 0.04), (place, 0, height - 0.03)), leg_color))
    said = [f"{'one' if slats == 1 else count(slats, 'slat').split()[0]} {'board' if slats == 1 else 'slats'} as seat",
            "two stone blocks as legs" if stone else "four black metal legs"]  # fmt: skip
    if has_back:
        for number in range(2 if slats > 1 else 1):
            size = 0.1 if slats > 1 else 0.26
            z = height + 0.17 + number * 0.17 + (0.08 if slats == 1 else 0)
            parts.append(paint(box((width, 0.035, size), (0, depth / 2 - 0.01, z)), color))
        for x in SIDES:
            parts.append(paint(box((0.05, 0.04, 0.46), (x * width * 0.38, depth / 2 + 0.015, height + 0.2)), leg_color))
        said.append("a back")
    return Design(
        parts=parts,
        caption=f"{article(f'{color} bench')} with {listed(said)}",
        attributes={"back": int(has_back), "slats": slats, "legs": "stone" if stone else "metal"},
    )


def bed(dice: Dice, color: str, form: str) -> Design:
    """Return a bed; its form is the headboard, its colour the blanket's."""
    double = dice.chance(0.5)
    width = dice.between(1.5, 1.7) if double else dice.between(0.9, 1.0)
    length, height = 2.0, dice.between(0.28, 0.36)
    wood = dice.pick(("brown", "beige", "white", "black"))
    head = dice.between(0.6, 0.75)
    parts = [paint(box((width, length, 0.14), (0, 0, height)), wood)]
    for x in SIDES:
        for y in SIDES:
            parts.append(paint(box((0.09, 0.09, height), (x * (width / 2 - 0.05), y * (length / 2 - 0.05), height / 2)),
                               wood))  # fmt: skip
    mattress = height + 0.15
    parts.append(paint(box((width * 0.95, length * 0.97, 0.2), (0, -0.01, mattress)), "white"))
    checked = dice.chance(0.35)
    second = dice.other(("white", "yellow", "pink"), color)
    parts.append(paint(box((width * 0.99, length * 0.62, 0.2), (0, -length * 0.18, mattress + 0.03)), color,
                       bands=bands(second, 0, width / 7, 1) if checked else None))  # fmt: skip
    y = length / 2 + 0.02
    if form == "solid":
        parts.append(paint(box((width + 0.06, 0.07, height + head), (0, y, (height + head) / 2)), wood))
    elif form == "slatted":
        for x in SIDES:
            parts.append(paint(box((0.08, 0.08, height + head), (x * width / 2, y, (height + head) / 2)), wood))
        parts.append(paint(box((width, 0.06, 0.09), (0, y, height + head - 0.06)), wood))
        for number in range(5):
            x = (number - 2) * width / 5.4
            parts.append(paint(box((0.07, 0.04, head), (x, y, height + head / 2 - 0.02)), wood))
    else:
        disc = rod((0, y - 0.035, height + 0.1), (0, y + 0.035, height + 0.1), width / 2)
        parts.append(paint(disc.trim_by_plane((0.0, 0.0, 1.0), height - 0.05), wood))
    pillows = 2 if double else 1
    pillow = dice.other(("white", "yellow", "pink", "gray"), color)
    for number in range(pillows):
        x = (number - (pillows - 1) / 2) * width * 0.46
        solid = ball(1, (x, length / 2 - 0.28, mattress + 0.13), stretch=(0.3 if double else 0.32, 0.19, 0.09))
        parts.append(paint(solid, pillow))
    blanket = f"{article(color)}{f' and {second} checked' if checked else ''} blanket"
    board = f"{article(form)} {wood} headboard"
    return Design(
        parts=parts,
        caption=f"a {'double' if double else 'single'} bed with {blanket}, {count(pillows, f'{pillow} pillow')}"
        f" and {board}",
        attributes={"size": "double" if double else "single", "frame": wood, "pillows": pillows},
    )


def shelf(dice: Dice, color: str, form: str) -> Design:
    """Return a shelf; its form is the number of its compartments."""
    rows = {"two": 2, "three": 3, "four": 4}[form]
    width, depth, row = dice.between(0.7, 0.95), 0.32, dice.between(0.33, 0.38)
    height, wall = rows * row, 0.035
    closed = dice.chance(0.6)
    parts = []
    for x in SIDES:
        parts.append(paint(box((wall, depth, height + wall), (x * (width - wall) / 2, 0, (height + wall) / 2)), color))
    for number in range(rows + 1):
        parts.append(paint(box((width, depth, wall), (0, 0, number * row + wall / 2)), color))
    if closed:
        parts.append(paint(box((width, 0.02, height), (0, depth / 2 - 0.01, height / 2 + wall / 2)), color))
    said = []
    filled = sorted({int(dice.between(0, rows)) for _ in range(2)})
    books = 0
    for number in filled:
        x, amount = -width / 2 + wall + 0.01, dice.pick((4, 5, 6))
        for _ in range(amount):
            thick, tall = dice.between(0.045, 0.075), row * dice.between(0.55, 0.78)
            solid = box((thick, depth * 0.62, tall), (x + thick / 2, -0.02, number * row + wall + tall / 2 - 0.003))
            parts.append(paint(solid, dice.other(BRIGHT, color)))
            x += thick + 0.004
        books += amount
    levels = {0: "at the bottom", rows - 1: "at the top"}
    said.append(f"books {listed([levels.get(number, 'in the middle') for number in filled])}"
                if len({levels.get(number, "in the middle") for number in filled}) == len(filled)
                else "books in the middle")  # fmt: skip
    free = [number for number in range(rows) if number not in filled]
    if free and dice.chance(0.5):
        ball_color, number = dice.other(BRIGHT, color), dice.pick(free)
        radius = row * 0.27
        parts.append(paint(ball(radius, (0.05, -0.02, number * row + wall + radius - 0.004)), ball_color))
        said.append(f"{article(ball_color)} ball")
    back = "closed" if closed else "open"
    return Design(
        parts=parts,
        caption=f"{article(f'{color} shelf')} with {form} compartments, {article(back)} back, {listed(said)}",
        attributes={"compartments": rows, "back": back, "books": books},
    )


def lamp(dice: Dice, color: str, form: str) -> Design:
    """Return a lamp; its form is the shade."""
    tall = dice.chance(0.5)
    stand = dice.between(1.15, 1.4) if tall else dice.between(0.3, 0.4)
    radius = 0.24 if tall else 0.19
    pole = dice.pick(("black", "gray", "brown"))
    parts = [paint(lathe([(0, 0), (radius * 0.8, 0), (radius * 0.8, 0.025), (0.03, 0.06), (0, 0.06)]), pole)]
    if tall or dice.chance(0.4):
        parts.append(paint(post(0.02, 0.03, stand + 0.1), pole))
        foot = "a slim"
    else:
        parts.append(paint(ball(1, (0, 0, stand * 0.5), stretch=(0.11, 0.11, stand * 0.42)), pole))
        parts.append(paint(post(0.022, 0.03, stand + 0.1), pole))
        foot = "a round"
    striped = dice.chance(0.35)
    stripe = dice.other(("white", "yellow", "red", "blue"), color)
    height = 0.3 if tall else 0.24
    wall = 0.012
    if form == "cone":
        outer = [(radius, 0.0), (radius * 0.5, height)]
    elif form == "cylinder":
        outer = [(radius * 0.82, 0.0), (radius * 0.82, height)]
    else:
        outer = []
    if outer:
        (low, bottom), (high, top) = outer
        profile = [
            (low - wall, bottom),
            (low, bottom),
            (high, top),
            (0, top),
            (0, top - wall),
            (high - wall, top - wall),
        ]
        solid = lathe([(r, z + stand) for r, z in profile])
    else:
        solid = ball(radius * 0.85, (0, 0, stand + radius * 0.7))
    parts.append(paint(solid, color, bands=bands(stripe, 2, height / 5) if striped else None))
    shade_words = {"cone": "cone-shaped", "cylinder": "cylindrical", "globe": "round"}[form]
    pattern = f" and {stripe} striped" if striped else ""
    kind = "floor" if tall else "table"
    return Design(
        parts=parts,
        caption=f"a {kind} lamp with {article(f'{color}{pattern}')} {shade_words} shade on {foot} {pole} stand",
        attributes={"kind": kind, "stand": pole, "striped": int(striped)},
    )


FURNITURE = (
    Family(name="chair", colors=_WOODEN, forms=("solid", "slatted", "oval"), design=chair),
    Family(name="stool", colors=(*BRIGHT, "white", "black"), forms=("three", "four", "five"), design=stool),
    Family(name="table", colors=_WOODEN, forms=("round", "square", "rectangular"), design=table),
    Family(name="bench", colors=("brown", "beige", "green", "blue", "red"), forms=("slatted", "plain"), design=bench),
    Family(name="bed", colors=BRIGHT, forms=("solid", "slatted", "arched"), design=bed),
    Family(name="shelf", colors=("brown", "beige", "white", "black", "blue"), forms=("two", "three", "four"),
           design=shelf),
    Family(name="lamp", colors=(*BRIGHT, "white", "beige"), forms=("cone", "cylinder", "globe"), design=lamp),
)  # fmt: skip
