"""A furniture library of three models, made in the test: a textured box, a turned one, and one that is torn."""

import io
import zipfile
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

CATALOGUE = """# a comment
id=Tiny
name=Tiny library
license=CC-BY 3.0  \\
    by somebody

id#1=tiny#crate
name#1=Crate \\u00e9
tags#1=Wood, Box
category#1=Storage
model#1=/tiny/crate/crate.obj
width#1=80
depth#1=40
height#1=120.5
creator#1=Ann

id#2=tiny#turned
name#2=Turned crate
category#2=Storage
model#2=/tiny/turned/crate.obj
modelRotation#2=0 0 1 0 1 0 -1 0 0
width#2=40
depth#2=80
height#2=120
creator#2=Bob

id#3=tiny#torn
name#3=Torn
category#3=Storage
model#3=/tiny/torn/torn.obj
width#3=1
depth#3=1
height#3=1
creator#3=Bob
"""


def crate_obj(size=(1.6, 2.4, 0.8)) -> str:
    """A box in file units, y up, whose front (+z) shows a picture and whose other sides are green."""
    box = trimesh.creation.box(size)
    lines = ["mtllib crate.mtl"]
    lines += [f"v {x} {y} {z}" for x, y, z in box.vertices]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1"]
    front = box.face_normals[:, 2] > 0.5
    half = np.array(size) / 2
    for material, chosen in (("front", front), ("green", ~front)):
        lines.append(f"usemtl {material}")
        for face in box.faces[chosen]:
            corners = box.vertices[face]
            right, high = corners[:, 0] > half[0] / 2, corners[:, 1] > half[1] / 2
            places = 1 + np.where(high, np.where(right, 2, 3), np.where(right, 1, 0))
            lines.append("f " + " ".join(f"{v + 1}/{t}" for v, t in zip(face, places, strict=True)))
    return "\n".join(lines) + "\n"


def write_library(path: Path, catalogue: str = CATALOGUE) -> Path:
    picture = io.BytesIO()
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8], pixels[8:] = (250, 0, 0), (0, 0, 250)  # red above blue
    Image.fromarray(pixels).save(picture, format="PNG")
    materials = "newmtl front\nmap_Kd front.png\nnewmtl green\nKd 0 0.8 0\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", catalogue.encode("latin-1"))
        for folder in ("crate", "turned"):
            archive.writestr(f"tiny/{folder}/crate.obj", crate_obj())
            archive.writestr(f"tiny/{folder}/crate.mtl", materials)
            archive.writestr(f"tiny/{folder}/front.png", picture.getvalue())
        archive.writestr("tiny/torn/torn.obj", "v 0 0 0\nv 1 0 0\nf 1 2 3\n")
    return path
