"""What a person calls: meshes to codes, codes to meshes in the place and size that the object had."""

from pathlib import Path

import numpy as np
import torch

from trilingua.core.errors import ConfigError, InputError, VocabularyError
from trilingua.core.io import read_json, write_json
from trilingua.geometry.fields import Field, Grid
from trilingua.geometry.isosurface import Surface, extract_surface
from trilingua.geometry.mesh_files import read_mesh
from trilingua.geometry.meshes import Frame, Mesh, check_manifold, check_mesh
from trilingua.geometry.srgb import bytes_from_unit
from trilingua.geometry.voxels import Voxels
from trilingua.nn.devices import require_device
from trilingua.systems.shapes.build import AnyTokenizer, load_tokenizer
from trilingua.systems.shapes.inputs import read_from_mesh
from trilingua.tokenizers.shapes.codes import CodeLayout, Codes, ShapeCode
from trilingua.tokenizers.shapes.voxels import VoxelTokenizer

RESOLUTION = 128
"""Cells along each side of the grid that surfaces are looked for on."""


UNIT = Frame(center=(0.0, 0.0, 0.0), scale=1.0)
"""Of an object that is where it is coded."""


class ShapeModel:
    """A trained shape tokenizer, ready to use.

    Args:
        tokenizer: with its weights.
        device: where to compute.
    """

    def __init__(self, tokenizer: AnyTokenizer, *, device: str = "cpu") -> None:
        self.tokenizer = tokenizer.to(device).eval()
        self.device = torch.device(device)
        self.layout: CodeLayout = self.tokenizer.layout()

    @classmethod
    def load(cls, run: str | Path, *, device: str = "cpu") -> "ShapeModel":
        """Read a run directory that `trilingua train` wrote.

        Raises:
            InputError: there is no such folder.
            CheckpointError: the folder is no run of a shape tokenizer, or a file of it is missing or torn.
            ConfigError: there is no such device.
        """
        require_device(device)
        return cls(load_tokenizer(run, device=device)[1], device=device)

    @property
    def num_scales(self) -> int:
        """How many blocks there are, from the first of which on a code can be decoded."""
        return len(self.layout.blocks)

    def encode(
        self, mesh: Mesh | str | Path, *, num_latents: int | None = None, allow_non_manifold: bool = False
    ) -> ShapeCode:
        """Return the code of a mesh of any size, at any place; the same each time.

        Args:
            mesh: what to encode, or the path of a .glb, .obj or .ply file; holes in it are no errors, since points of
                the surface are read.
            num_latents: how many, for a tokenizer that writes any number of latents; None: as its configuration says.
            allow_non_manifold: whether edges may belong to three triangles or more, as in many models that artists
                made; where parts of such a surface are thin, what is inside may come out otherwise than it was meant.

        Raises:
            InputError: the mesh or file cannot be used, or there cannot be so many latents.
            ConfigError: a number of latents for a tokenizer that always writes the same number.
        """
        if num_latents is not None and self.layout.blocks[0].size is not None:
            raise ConfigError(
                "num_latents: the tokenizer always writes the same number of codes; leave it out, or use a run of a "
                "`shape-latents` preset"
            )
        if not isinstance(mesh, Mesh):
            mesh = read_mesh(mesh)
        check_mesh(mesh)
        if not allow_non_manifold:
            check_manifold(mesh)
        frame = Frame.of(mesh)
        options = {} if num_latents is None else {"num_latents": num_latents}
        return self._encode(read_from_mesh(self.tokenizer, frame.normalize(mesh).outward()), frame, **options)

    def encode_voxels(self, voxels: Voxels, frame: Frame = UNIT) -> ShapeCode:
        """Return the code of voxels, for a voxel tokenizer.

        Args:
            voxels: of a grid over [-1, 1]^3.
            frame: where that cube was and how large.

        Raises:
            ConfigError: the tokenizer reads no voxels, or those of another resolution.
        """
        return self._encode(self._of_voxels().prepare(voxels), frame)

    def decode_voxels(self, code: ShapeCode) -> Voxels:
        """Return the voxels of a code, for a voxel tokenizer.

        Raises:
            ConfigError: the tokenizer writes no voxels.
            VocabularyError: another tokenizer wrote the code.
        """
        tokenizer = self._of_voxels()
        return tokenizer.decode_voxels(self._checked(code))[0]

    def _of_voxels(self) -> VoxelTokenizer:
        if not isinstance(self.tokenizer, VoxelTokenizer):
            raise ConfigError(f"tokenizer: reads {self.tokenizer.reads}; voxels need a run of a `shape-voxels` preset")
        return self.tokenizer

    def _encode(self, inputs: np.ndarray, frame: Frame, **options: int) -> ShapeCode:
        codes = self.tokenizer.encode(torch.from_numpy(inputs)[None].to(self.device), **options)
        return ShapeCode(layout=self.layout, blocks=tuple(block[0].cpu() for block in codes), frame=frame)

    def _checked(self, code: ShapeCode) -> Codes:
        if code.layout != self.layout:
            raise VocabularyError("code: another tokenizer wrote it; decode with that one")
        return tuple(block.to(self.device) for block in code.batch)

    def field(self, code: ShapeCode, *, scales: int | None = None) -> Field:
        """Return the field of a code, in [-1, 1]^3.

        Args:
            code: of this tokenizer.
            scales: decode only so many scales; None for all.

        Raises:
            VocabularyError: another tokenizer wrote the code.
            InputError: a number of scales that there are not.
        """
        batch = self._checked(code)
        if scales is not None and not 1 <= scales <= self.num_scales:
            raise InputError(f"scales: {scales} is not allowed; expected 1 to {self.num_scales}")
        return self.tokenizer.decode(batch, upto=scales)[0]

    def decode(self, code: ShapeCode, *, scales: int | None = None, resolution: int = RESOLUTION) -> Mesh:
        """Return the mesh of a code, where the object was and as large as it was.

        Args:
            code: of this tokenizer.
            scales: decode only so many scales; None for all.
            resolution: cells along each side of the grid that the surface is looked for on.

        Raises:
            VocabularyError: another tokenizer wrote the code.
            InputError: a number of scales that there are not, or a field without a surface.
        """
        surface = extract_surface(self.field(code, scales=scales), Grid(resolution=resolution), device=self.device)
        if not len(surface.faces):
            if scales is not None and scales < self.num_scales:
                raise InputError(
                    f"code: its first {scales} scales decode to nothing; expected more, at most {self.num_scales}"
                )
            raise InputError("code: decodes to nothing, since no point is inside; the tokenizer may be untrained")
        return code.frame.restore(mesh_of(surface))

    def save_code(self, code: ShapeCode, path: str | Path) -> None:
        """Write a code as JSON, atomically."""
        write_json(path, code.to_json(), indent=None)

    def load_code(self, path: str | Path) -> ShapeCode:
        """Read a code of this tokenizer.

        Raises:
            InputError: the file is missing, torn, or holds no code.
            VocabularyError: another tokenizer wrote it.
        """
        return ShapeCode.from_json(read_json(path), self.layout, str(path))


def mesh_of(surface: Surface) -> Mesh:
    """Return a surface as a mesh."""
    colors = None if surface.colors is None else bytes_from_unit(surface.colors)
    return Mesh(vertices=surface.vertices, faces=surface.faces, vertex_colors=colors)
