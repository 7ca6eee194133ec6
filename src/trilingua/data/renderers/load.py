"""Which renderers there are, by name; each is imported when asked for, so that others' packages may be absent."""

from trilingua.core.errors import ConfigError
from trilingua.data.renderers.protocol import Renderer

RENDERERS = ("builtin", "blender")


def load_renderer(name: str) -> Renderer:
    """Return the renderer called `name`, ready to draw.

    Raises:
        ConfigError: no renderer has that name.
        DependencyError: its optional package is not installed.
    """
    if name == "builtin":
        from trilingua.data.renderers.builtin import BuiltinRenderer

        return BuiltinRenderer()
    if name == "blender":
        from trilingua.data.renderers.blender import BlenderRenderer

        return BlenderRenderer()
    raise ConfigError(f"renderer: {name!r} is unknown; choose one of {', '.join(RENDERERS)}")
