"""Shapes: how many objects a minute `trilingua shape encode` does, its memory, and the seconds of a surface."""

import sys
from statistics import median

from measure import measure_command, time_in_turns
from subject import SEED, Subject
from tables import Section

from trilingua import load_shapes, shipped_folder
from trilingua.data.shapes.procedural import ProceduralShapes
from trilingua.geometry.fields import Grid, evaluate_on_grid
from trilingua.geometry.isosurface import extract_surface, march_cubes
from trilingua.geometry.mesh_files import save_mesh


def run(subject: Subject) -> Section:
    """Measure the whole command on mesh files, and the parts of decoding."""
    count = 4 if subject.quick else 40
    source = ProceduralShapes(num_objects=count, seed=SEED, split="benchmark")
    paths = [subject.folder / f"shape_{index}.glb" for index in range(count)]
    for index, path in enumerate(paths):
        save_mesh(source.load(index).mesh, path)
    section = Section(title="Shapes to codes and back", header=("", "measured", "target"))
    run = shipped_folder() / "shape-set"
    command = [sys.executable, "-c", "from trilingua.cli.main import main; main()", "shape", "encode", *map(str, paths)]
    command += ["--out", str(subject.folder / "codes"), "--tokenizer", str(run)]
    found = [measure_command(command) for _ in range(1 if subject.quick else 3)]
    rate = 60 * count / median(item["seconds"] for item in found)
    memory = max(item["memory"] for item in found) / 1e6
    section.rows += [
        ("objects a minute, from files to files", f"{rate:.0f}", f"at least 20{'' if rate >= 20 else ', missed'}"),
        ("resident memory at its peak", f"{memory:.0f} MB", ""),
    ]
    model = load_shapes(run)
    field = model.field(model.encode(source.load(0).mesh))
    grid = Grid(resolution=128)
    samples = evaluate_on_grid(field, grid).numpy()
    seconds = time_in_turns(
        {
            "surface": lambda: march_cubes(samples, grid),
            "field and surface": lambda: extract_surface(field, grid),
        },
        repeats=1 if subject.quick else 5,
    )
    slow = "" if seconds["surface"] < 1 else ", missed"
    section.rows += [
        ("marching cubes on 128^3 cells", f"{seconds['surface']:.2f} s", f"under 1 s{slow}"),
        ("a code to its mesh at 128^3", f"{seconds['field and surface']:.2f} s", ""),
    ]
    section.notes = [
        f"{count} procedural objects as GLB files; the command's time is that of the whole process, imports included."
    ]
    return section
