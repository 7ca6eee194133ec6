"""Scenes as they are drawn: every object where the reference camera sees it as the picture's own camera does.

Objects alone do not say where a picture's camera stood, and a model that draws them blurs what they leave open: a
scene drawn from the reference camera has an SSIM of .917 to its own picture. A scene that records its view is
*staged*: its objects move along the ground until the reference camera sees their centres where the other camera sees
them. A staged scene decides its picture but for the lamps and some perspective (.961) and takes no token more; and one
that records no view is staged already, and is drawn from the reference camera.

Source: none. Kyvo draws scenes without their cameras.
"""

import dataclasses

import numpy as np
import torch

from trilingua.data.clevr.views import VIEW_FIELD, view_of
from trilingua.data.renderers.views import REFERENCE_VIEW, camera_for_view
from trilingua.geometry.sightlines import meet_heights
from trilingua.scenes.scene import Scene

REFERENCE_CAMERA = camera_for_view(REFERENCE_VIEW)
"""Sees staged scenes."""


def stage(scene: Scene) -> Scene:
    """Return the scene whose objects the reference camera sees where the scene's own camera sees this one's.

    Heights stay; places may leave the range of the schema, by .4 m where CLEVR moves its camera. Staging again changes
    nothing.

    Args:
        scene: one that records no view is returned as it is.

    Raises:
        InputError: the view that it records is malformed.
    """
    if VIEW_FIELD not in scene.extra:
        return scene
    camera = camera_for_view(view_of(scene))
    places = np.array([item.location for item in scene.objects], np.float64).reshape(-1, 3)
    columns, rows, _ = np.moveaxis(camera.project(places), -1, 0)
    slopes = np.stack([columns - camera.width / 2, camera.height / 2 - rows], axis=-1) / camera.focal_length
    found = meet_heights(*map(torch.from_numpy, (REFERENCE_CAMERA.position, slopes, places[:, 2]))).tolist()
    objects = tuple(
        dataclasses.replace(item, location=(x, y, item.location[2]))
        for item, (x, y) in zip(scene.objects, found, strict=True)
    )
    extra = {name: value for name, value in scene.extra.items() if name != VIEW_FIELD}
    return scene.replace(objects=objects, extra=extra)
