# mypy: ignore-errors
"""A program that draws studio scenes with Blender's Cycles, one JSON line in and one out.

It runs under an interpreter that has the package `bpy` and nothing of Trilingua; `blender.py` starts it, and
fills each request with numbers only. Request: `solids`, `camera`, `lamps`, `sun`, `floor`, `width`, `height`,
`samples`, `threads`, `picture` (the path to write). Answer: `{}` or `{"error": ...}`.

Source: CLEVR generator, `base_scene.blend` and its materials, rebuilt from their numbers.
"""

import json
import math
import os
import sys

import bpy
from mathutils import Matrix, Vector

SHADE_SMOOTH_DEGREES = 30.0


def add_material(solid):
    """Return a rubber or metal material with the solid's linear colour."""
    material = bpy.data.materials.new("solid")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()

    def node(kind, **inputs):
        made = tree.nodes.new(f"ShaderNode{kind}")
        for name, value in inputs.items():
            made.inputs[name].default_value = value
        return made

    def mix(share, first, second):
        made = tree.nodes.new("ShaderNodeMixShader")
        if isinstance(share, float):
            made.inputs[0].default_value = share
        else:
            tree.links.new(share.outputs[0], made.inputs[0])
        tree.links.new(first.outputs[0], made.inputs[1])
        tree.links.new(second.outputs[0], made.inputs[2])
        return made

    color = (*solid["color"], 1.0)
    if solid["material"] == "metal":
        broad = node("BsdfAnisotropic", Color=color, Roughness=math.sqrt(0.2), Anisotropy=0.25)
        narrow = node("BsdfAnisotropic", Color=color, Roughness=0.1, Anisotropy=0.25)
        surface = mix(0.6, broad, narrow)
    else:
        velvet = node("BsdfSheen", Color=color, Roughness=0.6)
        velvet.distribution = "ASHIKHMIN"
        gloss = node("BsdfAnisotropic", Color=(0.8, 0.8, 0.8, 1.0), Roughness=math.sqrt(0.35))
        gloss.distribution = "BECKMANN"
        matt = mix(node("Fresnel", IOR=1.4), node("BsdfDiffuse", Color=color), velvet)
        surface = mix(node("Fresnel", IOR=1.2), matt, gloss)
    tree.links.new(surface.outputs[0], node("OutputMaterial").inputs["Surface"])
    return material


def add_solid(solid):
    """Put one sphere, cylinder or cube with rounded edges on the floor."""
    size = solid["size"]
    if solid["shape"] == "sphere":
        bpy.ops.mesh.primitive_uv_sphere_add(segments=96, ring_count=48, radius=size)
    elif solid["shape"] == "cylinder":
        bpy.ops.mesh.primitive_cylinder_add(vertices=128, radius=size, depth=2 * size)
    else:
        bpy.ops.mesh.primitive_cube_add(size=2 * size)
    item = bpy.context.object
    if solid["shape"] != "sphere":
        bevel = item.modifiers.new("bevel", "BEVEL")
        bevel.width = solid["bevel"] * size
        bevel.segments = 6
        bevel.limit_method = "ANGLE"
        bevel.angle_limit = math.radians(SHADE_SMOOTH_DEGREES)
        bevel.harden_normals = True
    bpy.ops.object.shade_smooth()
    item.location = solid["center"]
    item.rotation_euler[2] = math.radians(solid["turn_degrees"])
    item.data.materials.append(add_material(solid))


def add_lamps(request):
    """Put the square lamps, which face the origin, and the far lamp into the studio."""
    for lamp in request["lamps"]:
        data = bpy.data.lights.new("lamp", "AREA")
        data.size = lamp["edge"]
        data.energy = lamp["watts"]
        data.color = lamp["color"]
        item = bpy.data.objects.new("lamp", data)
        item.location = lamp["place"]
        item.rotation_euler = Vector(lamp["place"]).to_track_quat("Z", "Y").to_euler()
        item.visible_camera = False
        bpy.context.collection.objects.link(item)
    data = bpy.data.lights.new("sun", "SUN")
    data.energy = request["sun"]["irradiance"]
    data.angle = request["sun"]["angle"]
    item = bpy.data.objects.new("sun", data)
    item.rotation_euler = Vector(request["sun"]["direction"]).to_track_quat("Z", "Y").to_euler()
    bpy.context.collection.objects.link(item)


def add_floor(floor):
    """Put the floor with its sweep into the studio."""
    axis, across = Vector(floor["axis"]), Vector(floor["across"])
    places = [(floor["start"], 0.0), *floor["profile"]]
    corners = [
        axis * along + across * side + Vector((0.0, 0.0, height)) for along, height in places for side in floor["sides"]
    ]
    faces = [(2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2) for i in range(len(places) - 1)]
    mesh = bpy.data.meshes.new("floor")
    mesh.from_pydata(corners, [], faces)
    for face in mesh.polygons:
        face.use_smooth = True
    material = bpy.data.materials.new("floor")
    material.use_nodes = True
    material.node_tree.nodes.clear()
    diffuse = material.node_tree.nodes.new("ShaderNodeBsdfDiffuse")
    diffuse.inputs["Color"].default_value = (0.8, 0.8, 0.8, 1.0)
    output = material.node_tree.nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(diffuse.outputs[0], output.inputs["Surface"])
    mesh.materials.append(material)
    bpy.context.collection.objects.link(bpy.data.objects.new("floor", mesh))


def add_camera(camera):
    """Put the camera into the studio; its lens is told by the focal length over the picture's longer side."""
    data = bpy.data.cameras.new("camera")
    data.sensor_width = 32.0
    data.lens = 32.0 * camera["focal_per_side"]
    item = bpy.data.objects.new("camera", data)
    item.matrix_world = Matrix(camera["world_from_camera"])
    bpy.context.collection.objects.link(item)
    bpy.context.scene.camera = item


def draw(request):
    """Build the request's studio from nothing and write its picture."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = request["width"], request["height"]
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.filepath = request["picture"]
    if request["threads"]:
        scene.render.threads_mode = "FIXED"
        scene.render.threads = request["threads"]
    scene.cycles.device = "CPU"
    scene.cycles.samples = request["samples"]
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.seed = 0
    scene.cycles.blur_glossy = 2.0
    scene.cycles.use_denoising = True
    scene.cycles.denoiser = "OPENIMAGEDENOISE"
    scene.view_settings.view_transform = "Standard"
    add_floor(request["floor"])
    for solid in request["solids"]:
        add_solid(solid)
    add_lamps(request)
    add_camera(request["camera"])
    bpy.ops.render.render(write_still=True)


def main():
    """Answer requests until the input ends. Blender's own chatter goes to the error stream."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    answers.write(json.dumps({"blender": bpy.app.version_string}) + "\n")
    for line in sys.stdin:
        try:
            draw(json.loads(line))
            answers.write("{}\n")
        except Exception as error:  # whatever it was, the caller has to hear of it
            answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")


if __name__ == "__main__":
    main()
