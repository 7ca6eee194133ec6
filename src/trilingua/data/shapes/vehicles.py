"""Procedural vehicles: car, airplane, rocket, sailboat. Each program is one family; fronts look to -x or up."""

import math

import numpy as np

from trilingua.data.shapes.design import BRIGHT, SIDES, Design, Dice, Family, article, bands, count, listed, paint
from trilingua.data.shapes.solids import Part, ball, box, hull, lathe, post, prism, rod


def car(dice: Dice, color: str, form: str) -> Design:
    """Return a car; its form is the body."""
    length, width = dice.between(3.8, 4.3), 1.7
    floor, belt = 0.32, 0.88
    glass = "black" if color == "blue" else "blue"
    roof = {"sedan": 1.42, "van": 1.85, "pickup": 1.6}[form]
    half = length / 2
    hull = [(-half, floor), (half, floor), (half, belt), (-half * 0.9, belt), (-half, belt - 0.16)]
    parts = [paint(prism(hull, 1, -width / 2, width / 2), color)]
    cabin = {
        "sedan": [(-half * 0.5, belt - 0.02), (half * 0.72, belt - 0.02), (half * 0.45, roof), (-half * 0.2, roof)],
        "van": [(-half * 0.72, belt - 0.02), (half, belt - 0.02), (half * 0.98, roof), (-half * 0.48, roof)],
        "pickup": [(-half * 0.5, belt - 0.02), (half * 0.22, belt - 0.02), (half * 0.2, roof), (-half * 0.26, roof)],
    }[form]
    two_tone = dice.chance(0.35)
    top = dice.other(("white", "black", "gray"), color) if two_tone else color
    inset = 0.1
    parts.append(paint(prism(cabin, 1, -width / 2 + inset, width / 2 - inset), top))
    # Windows are thin slabs that stand out a little from the cabin.
    corners = np.array(cabin)
    middle = corners.mean(axis=0)
    pane = middle + (corners - middle) * (0.84, 0.62) + (0, 0.03)
    side = [(float(x), float(z)) for x, z in pane]
    windows = prism(side, 1, -width / 2 + inset - 0.025, width / 2 - inset + 0.025)
    pillar = box((0.09, width, roof), (float(middle[0]), 0, roof / 2))
    parts.append(paint(windows - pillar if form != "pickup" else windows, glass))
    slope = corners[3] - corners[0]
    outward = 0.05 * np.array([-slope[1], slope[0]]) / np.linalg.norm(slope)
    foot, head = corners[0] + 0.16 * slope, corners[0] + 0.86 * slope
    screen = [(float(x), float(z)) for x, z in (foot - outward, head - outward, head + outward, foot + outward)]
    parts.append(paint(prism(screen, 1, -width / 2 + inset + 0.1, width / 2 - inset - 0.1), glass))
    if form == "pickup":
        bed = box((half * 0.7, width - 0.3, 0.4), (half * 0.6, 0, belt))
        parts[0] = paint(parts[0].solid - bed, color)
    wheel = 0.34
    for x in (-half * 0.62, half * 0.6):
        for y in SIDES:
            inner, outer = y * (width / 2 - 0.2), y * (width / 2 + 0.04)
            parts.append(paint(rod((x, inner, wheel), (x, outer, wheel), wheel), "black"))
            parts.append(paint(rod((x, inner, wheel), (x, outer + y * 0.02, wheel), wheel * 0.52), "gray"))
    for y in SIDES:
        parts.append(paint(ball(0.11, (-half * 0.99, y * width * 0.34, belt - 0.27)), "yellow"))
        parts.append(paint(box((0.06, 0.28, 0.13), (half, y * width * 0.36, belt - 0.2)), "red"))
    parts.append(paint(box((0.12, width * 0.96, 0.12), (-half, 0, floor + 0.08)), "gray"))
    said = [f"{article(top)} roof" if two_tone else f"{article(glass)} windscreen"]
    if form != "pickup" and dice.chance(0.35):
        rack = dice.other(BRIGHT, color, top)
        parts.append(paint(box((half * 0.55, width * 0.55, 0.26), (half * 0.2, 0, roof + 0.12)), rack))
        said.append(f"{article(rack)} box on the roof")
    said.append("four black wheels")
    return Design(
        parts=parts,
        caption=f"{article(f'{color} {form}')} with {listed(said)}",
        attributes={"roof": top, "wheels": 4},
    )


def airplane(dice: Dice, color: str, form: str) -> Design:
    """Return an airplane; its form is the wings."""
    length, radius, span = dice.between(8, 10), dice.between(0.55, 0.7), dice.between(8, 10)
    half = length / 2
    profile = [(0.0, -half)]
    profile += [
        (radius * math.sin(a), -half + radius * 2 * (1 - math.cos(a))) for a in np.linspace(0.25, math.pi / 2, 8)
    ]
    profile += [(radius, half * 0.35), (radius * 0.25, half), (0.0, half)]
    fuselage = lathe(profile).rotate((0, 90, 0)).translate((0, 0, 0))
    second = dice.other(("white", "red", "yellow", "blue", "orange"), color)
    parts = [paint(fuselage, color)]
    chord = radius * 2.3
    sweep = {"straight": 0.1, "swept": 1.7, "delta": 2.9}[form]
    tip = {"straight": 0.75, "swept": 0.5, "delta": 0.12}[form]
    root = chord * (2.0 if form == "delta" else 1.0)
    start = -root * 0.45
    outline = np.array(
        [(start, 0.0), (start + root, 0.0), (start + sweep + root * tip, span / 2), (start + sweep, span / 2)]
    )
    wings = []
    for y in SIDES:
        low = [(x, y * place, -0.08) for x, place in outline]
        high = [(x, y * place, 0.08) for x, place in outline]
        wings.append(hull(low + high).translate((0, 0, -radius * 0.35)))
    wing = dice.pick((color, second))
    parts.extend(paint(solid, wing) for solid in wings)
    back = half * 0.72
    fin = [(back - 0.5, 0.0), (half * 1.02, 0.0), (half * 1.08, radius * 2.7), (half * 0.88, radius * 2.7)]
    parts.append(paint(prism(fin, 1, -0.08, 0.08), second))
    for y in SIDES:
        flat = np.array([(back, 0.0), (half, 0.0), (half * 1.06, span * 0.17), (half * 0.92, span * 0.17)])
        slab = [(x, y * place, z) for x, place in flat for z in (0.12, 0.24)]
        parts.append(paint(hull(slab), second))
    propeller = form == "straight" and dice.chance(0.6)
    if propeller:
        parts.append(paint(ball(0.26, (-half - 0.05, 0, 0)), "gray"))
        for turn in (0, 90):
            blade = box((0.09, radius * 3.6, 0.22), (0, 0, 0)).rotate((turn, 0, 0)).translate((-half - 0.18, 0, 0))
            parts.append(paint(blade, "black"))
        said, engines = "a propeller", 1
    else:
        engines = dice.pick((2, 4))
        for y in SIDES:
            for number in range(engines // 2):
                place = y * span * (0.2 + 0.13 * number)
                x = start + sweep * abs(place) / (span / 2)
                z = -radius * 0.35 - 0.38
                parts.append(paint(rod((x - 0.35, place, z), (x + 1.1, place, z), 0.33, 0.24), "gray"))
                parts.append(paint(box((0.5, 0.1, 0.5), (x + 0.5, place, z + 0.25)), "gray"))
        said = f"{count(engines, 'jet engine')}"
    parts.append(
        paint(ball(1, (-half * 0.72, 0, radius * 0.62), stretch=(0.75, radius * 0.62, radius * 0.55)), "black")
    )
    return Design(
        parts=parts,
        caption=f"{article(f'{color} airplane')} with {wing} {form} wings, {article(second)} tail and {said}",
        attributes={"wings": wing, "tail": second, "engines": engines},
    )


def rocket(dice: Dice, color: str, form: str) -> Design:
    """Return a rocket; its form is the number of its fins."""
    fins = {"three": 3, "four": 4}[form]
    height, radius = dice.between(3.2, 4.4), dice.between(0.45, 0.6)
    slim = height / radius > 7.2
    nose = dice.other(BRIGHT, color)
    base = 0.5
    top = base + height
    striped = dice.chance(0.5)
    stripe = dice.other(("white", "black", "yellow"), color, nose)
    shell = lathe(
        [
            (0, base),
            (radius * 0.8, base),
            (radius, base + height * 0.3),
            (radius, base + height * 0.62),
            (0, base + height * 0.62),
        ]
    )
    parts = [paint(shell, color, bands=bands(stripe, 2, height * 0.62 / 5) if striped else None)]
    arc = [
        (radius * math.cos(a), base + height * 0.61 + height * 0.39 * math.sin(a))
        for a in np.linspace(0, math.pi / 2, 12)
    ]
    parts.append(paint(lathe([(0, base + height * 0.61), *arc[:-1], (0, top)]), nose))
    parts.append(
        paint(
            lathe([(0, base - 0.3), (radius * 0.62, base - 0.3), (radius * 0.4, base + 0.05), (0, base + 0.05)]), "gray"
        )
    )
    outline = [
        (radius * 0.6, base + 0.1),
        (radius * 1.9, 0.0),
        (radius * 1.95, base * 0.9),
        (radius * 0.9, base + height * 0.36),
    ]
    for number in range(fins):
        fin = prism(outline, 1, -0.05, 0.05).rotate((0, 0, 360 / fins * (number + 0.5) - 90))
        parts.append(paint(fin, nose))
    windows = dice.pick((1, 2))
    for number in range(windows):
        z = base + height * (0.53 - 0.19 * number)
        parts.append(paint(rod((0, -radius * 0.6, z), (0, -radius - 0.045, z), radius * 0.42), "gray"))
        parts.append(paint(rod((0, -radius * 0.6, z), (0, -radius - 0.07, z), radius * 0.31), "blue"))
    size = "slim" if slim else "stout"
    skin = f"{color} and {stripe} striped" if striped else color
    return Design(
        parts=parts,
        caption=f"a {size} {skin} rocket with {article(nose)} nose, {form} fins and {count(windows, 'round window')}",
        attributes={"nose": nose, "fins": fins, "windows": windows, "striped": int(striped)},
    )


def sailboat(dice: Dice, color: str, form: str) -> Design:
    """Return a sailboat; its form is the number of its sails, its colour the hull's."""
    length, width, height = dice.between(3.4, 4.2), dice.between(1.1, 1.4), 0.6
    half = length / 2
    deck = [(-half, 0.0), (-half * 0.45, -width * 0.42), (half * 0.3, -width / 2), (half, -width * 0.36),
            (half, width * 0.36), (half * 0.3, width / 2), (-half * 0.45, width * 0.42)]  # fmt: skip
    points = [(x, y, height) for x, y in deck] + [(x * 0.8, y * 0.5, 0.0) for x, y in deck]
    shell = hull(points)
    inner = hull([(x * 0.86, y * 0.8, z) for x, y in deck for z in (height - 0.12, height + 0.5)])
    parts: list[Part] = [paint(shell - inner, color)]
    mast_x, mast = -half * 0.12, dice.between(3.0, 3.8)
    parts.append(paint(post(0.05, height - 0.2, height + mast, at=(mast_x, 0)), "brown"))
    parts.append(paint(rod((mast_x, 0, height + 0.32), (half * 0.95, 0, height + 0.32), 0.04), "brown"))
    sail = dice.other(("white", "red", "yellow", "orange", "beige"), color)
    striped = dice.chance(0.4)
    stripe = dice.other(("blue", "green", "red"), color, sail)
    main = [(mast_x + 0.03, height + 0.34), (half * 0.92, height + 0.34), (mast_x + 0.03, height + mast * 0.96)]
    parts.append(paint(prism(main, 1, -0.03, 0.03), sail, bands=bands(stripe, 2, mast * 0.16) if striped else None))
    if form == "two":
        jib = [(-half * 0.95, height + 0.02), (mast_x - 0.02, height + 0.35), (mast_x - 0.02, height + mast * 0.82)]
        parts.append(paint(prism(jib, 1, -0.03, 0.03), sail))
    flag = dice.chance(0.5)
    said = [f"{form} {sail}{f' and {stripe} striped' if striped else ''} sail{'s' if form == 'two' else ''}"]
    if flag:
        word = dice.other(BRIGHT, color, sail)
        parts.append(paint(box((0.5, 0.05, 0.26), (mast_x + 0.24, 0, height + mast - 0.1)), word))
        said.append(f"{article(word)} flag on the mast")
    else:
        said.append("a brown mast")
    return Design(
        parts=parts,
        caption=f"{article(f'{color} sailboat')} with {listed(said)}",
        attributes={"sails": 1 if form == "one" else 2, "sail": sail, "flag": int(flag)},
    )


VEHICLES = (
    Family(name="car", colors=(*BRIGHT, "white", "black"), forms=("sedan", "van", "pickup"), design=car),
    Family(name="airplane", colors=("white", "gray", *BRIGHT), forms=("straight", "swept", "delta"), design=airplane),
    Family(name="rocket", colors=("white", "gray", *BRIGHT), forms=("three", "four"), design=rocket),
    Family(name="sailboat", colors=(*BRIGHT, "brown", "black"), forms=("one", "two"), design=sailboat),
)
