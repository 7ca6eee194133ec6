"""A mesh as 767 bytes: an object that nobody has seen, its codes, and what comes back from more and more of them.

You learn what a shape tokenizer reads and writes, how fewer scales give a coarser object, how far a decoded surface is
from the true one, and what a field can be asked besides its mesh.

    python examples/06_shapes.py [OUT_DIR]
"""

import sys
from pathlib import Path

import torch

import trilingua
from trilingua.data.shapes.procedural import ProceduralShapes
from trilingua.geometry.mesh_files import save_mesh
from trilingua.systems.shapes.evaluate import bytes_of, compare_surfaces


def main(out: Path) -> None:
    """Take one fresh object to codes and back, and write the meshes to `out`."""
    model = trilingua.load_shapes()  # the shipped tokenizer, or a run of your own

    shape = ProceduralShapes(num_objects=1, seed=7, split="example").load(0)
    print(shape.caption)
    save_mesh(shape.mesh, out / "object.glb")

    # Mesh to codes: blocks of ids, one a scale, and the frame that leads back to the object's place and size.
    code = model.encode(shape.mesh)
    print("ids at each scale:", [len(ids) for ids in code.blocks], "in all", bytes_of(code), "bytes")
    print(f"frame: centre {[round(value, 2) for value in code.frame.center]} m, scale {code.frame.scale:.2f} m")
    model.save_code(code, out / "object.json")

    # Codes to meshes. What is compared lies in [-1, 1]^3, so that distances are shares of the object's size.
    truth = code.frame.normalize(shape.mesh)
    for scales in (5, 7, model.num_scales):
        mesh = model.decode(code, scales=scales, resolution=64)
        save_mesh(mesh, out / f"decoded_{scales}.glb")
        figures = compare_surfaces(code.frame.normalize(mesh), truth)
        size = bytes_of(code, scales=scales)
        print(f"{scales} scales, {size} bytes: F-score at 0.02 {figures['f_score_0.02']:.2f}")

    # A mesh is one thing that can be made of a field; it can be asked at any place.
    field = model.field(code)
    middle = torch.zeros(1, 3)
    print("the middle of its box is inside" if field.values(middle) > 0 else "the middle of its box is outside")

    # What models of shapes read: a vector a code, or, scale by scale, what the scales before add up to.
    print("context of a language model:", tuple(model.tokenizer.embed(code.batch).shape))
    print("a next-scale model's inputs:", [part.shape[1] for part in model.tokenizer.ar_inputs(code.batch)])


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out/examples/shapes")
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
