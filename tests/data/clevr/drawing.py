"""A renderer for tests that draws each object as a flat disc: quick, deterministic, and picklable."""

import numpy as np

from trilingua.data.renderers.protocol import Rendering
from trilingua.data.renderers.views import camera_for_view
from trilingua.scenes.palette import COLORS, HALF_SIZES


class DiscRenderer:
    name = "discs"

    def __init__(self, name="discs", *, everything_visible=False):
        self.everything_visible = everything_visible

    def count_visible_pixels(self, scene, view, *, width=320, height=240):
        if self.everything_visible:
            return [width * height] * len(scene.objects)
        index = self.render(scene, view, width=width, height=height).object_index
        return [int((index == number).sum()) for number in range(len(scene.objects))]

    def render(self, scene, view, *, width=320, height=240):
        camera = camera_for_view(view, width=width, height=height)
        rows, columns = np.mgrid[0:height, 0:width] + 0.5
        image = np.full((height, width, 3), 120, dtype=np.uint8)
        index = np.full((height, width), -1, dtype=np.int16)
        depth = np.full((height, width), 50.0, dtype=np.float32)
        places = [camera.project(np.array(item.location)) for item in scene.objects]
        for number in sorted(range(len(places)), key=lambda n: -places[n][2]):
            item, (column, row, distance) = scene.objects[number], places[number]
            radius = camera.focal_length * HALF_SIZES[item.size] / distance
            inside = (columns - column) ** 2 + (rows - row) ** 2 < radius**2
            image[inside], index[inside], depth[inside] = COLORS[item.color], number, distance
        return Rendering(image=image, object_index=index, depth=depth)
