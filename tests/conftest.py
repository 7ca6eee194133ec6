"""What all tests share: small data and runs, and modules that use warp kept from the run-time check of annotations.

Warp compiles a kernel from its source and its annotations, and its structs are no Python types; a checking
decorator would break both. So those modules are imported here first, with the check's import hook set aside.
"""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

import trilingua

if TYPE_CHECKING:
    from trilingua.systems.kyvo.build import Tokenizers
    from trilingua.systems.kyvo.pipeline import Kyvo

package = Path(trilingua.__file__).parent
kernels = [path for path in sorted(package.rglob("*.py")) if "import warp" in path.read_text()]

hooks = [finder for finder in sys.meta_path if type(finder).__module__.startswith("jaxtyping")]
sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in hooks]
for path in kernels:
    importlib.import_module(".".join(("trilingua", *path.relative_to(package).with_suffix("").parts)))
sys.meta_path[:] = [*hooks, *sys.meta_path]


# A test's time says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

EVERY_STEP = {"trainer.log_every_steps": 1, "trainer.num_threads": 1, "trainer.precision": "fp32"}


@pytest.fixture(scope="session")
def clevr_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLEVR data directory of six scenes with questions and instructions, for tests that only read it."""
    from trilingua.data.clevr.generate import ClevrConfig, generate_clevr

    folder = tmp_path_factory.mktemp("clevr") / "data"
    config = ClevrConfig(
        num_scenes=6, seed=3, split="tiny", max_objects=6, questions_per_scene=3, instructions_per_scene=2
    )
    generate_clevr(folder, config)
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizers_run(clevr_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of `kyvo-tiny-tokenizers`, trained on `clevr_folder`; every step is logged."""
    from trilingua.core.config import replace_dotted
    from trilingua.systems.kyvo.config import kyvo_tiny_tokenizers
    from trilingua.systems.kyvo.train import train_tokenizers

    run = tmp_path_factory.mktemp("tokenizers") / "run"
    config = replace_dotted(kyvo_tiny_tokenizers(), {"data": str(clevr_folder), **EVERY_STEP})
    train_tokenizers(config, run)
    return run


@pytest.fixture(scope="session")
def tiny_tokenizers(tiny_tokenizers_run: Path) -> "Tokenizers":
    """The tokenizers of `tiny_tokenizers_run`."""
    from trilingua.systems.kyvo.build import load_tokenizers

    return load_tokenizers(tiny_tokenizers_run)


@pytest.fixture(scope="session")
def tiny_shards(clevr_folder: Path, tiny_tokenizers: "Tokenizers", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`clevr_folder` as two shards of ids of `tiny_tokenizers`."""
    from trilingua.data.clevr.files import ClevrFolder
    from trilingua.data.tokenize_folder import tokenize_folder
    from trilingua.systems.kyvo.train import tools_of

    out = tmp_path_factory.mktemp("shards") / "shards"
    tokenize_folder(
        ClevrFolder(clevr_folder),
        out,
        make_tools=lambda: tools_of(tiny_tokenizers),
        scenes_per_shard=4,
        batch_size=3,
    )
    return out


@pytest.fixture(scope="session")
def tiny_run(tiny_tokenizers_run: Path, tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of `kyvo-tiny`, trained on `tiny_shards` until its probes learn too; every step is logged."""
    from trilingua.core.config import replace_dotted
    from trilingua.systems.kyvo.config import kyvo_tiny
    from trilingua.systems.kyvo.train import train_decoder

    run = tmp_path_factory.mktemp("decoder") / "run"
    places = {"tokenizers": str(tiny_tokenizers_run), "data": str(tiny_shards)}
    times = {"trainer.max_steps": 60, "trainer.eval_every_steps": 30}
    train_decoder(replace_dotted(kyvo_tiny(), {**places, **times, **EVERY_STEP}), run)
    return run


@pytest.fixture(scope="session")
def seeing_run(tiny_tokenizers_run: Path, tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `tiny_run`, of fewer steps; half of the given pictures are seen."""
    from trilingua.core.config import replace_dotted
    from trilingua.systems.kyvo.config import kyvo_tiny
    from trilingua.systems.kyvo.train import train_decoder

    run = tmp_path_factory.mktemp("seeing") / "run"
    changes = {"tokenizers": str(tiny_tokenizers_run), "data": str(tiny_shards), "loader.code_share": 0.5}
    train_decoder(replace_dotted(kyvo_tiny(), {**changes, **EVERY_STEP}), run)
    return run


@pytest.fixture(scope="session")
def shape_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shape data directory of eight objects with little measured of each, for tests that only read it."""
    from trilingua.data.shapes.files import ShapesConfig
    from trilingua.data.shapes.generate import generate_shapes

    folder = tmp_path_factory.mktemp("shapes") / "data"
    few = ShapesConfig(
        num_objects=8,
        seed=3,
        split="tiny",
        num_points=256,
        num_uniform=256,
        num_near=256,
        num_random_views=1,
        view_size=16,
        voxel_resolution=16,
    )
    generate_shapes(folder, few)
    return folder


@pytest.fixture(scope="session")
def tiny_shape_run(shape_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of `shape-set-tiny`, trained on `shape_folder` until its shapes are blobs."""
    from trilingua.core.config import replace_dotted
    from trilingua.systems.shapes.config import shape_set_tiny
    from trilingua.systems.shapes.train import train_shapes

    run = tmp_path_factory.mktemp("shape-set") / "run"
    changes = {"data": str(shape_folder), "trainer.max_steps": 60, "trainer.eval_every_steps": 0}
    train_shapes(replace_dotted(shape_set_tiny(), {**changes, **EVERY_STEP}), run)
    return run


@pytest.fixture(scope="session")
def tiny_triplane_run(shape_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of `shape-triplane-tiny`, trained on `shape_folder` until its shapes are blobs."""
    from trilingua.core.config import replace_dotted
    from trilingua.systems.shapes.config import shape_triplane_tiny
    from trilingua.systems.shapes.train import train_shapes

    run = tmp_path_factory.mktemp("shape-triplane") / "run"
    changes = {"data": str(shape_folder), "trainer.max_steps": 60, "trainer.eval_every_steps": 0}
    train_shapes(replace_dotted(shape_triplane_tiny(), {**changes, **EVERY_STEP}), run)
    return run


@pytest.fixture(scope="session")
def tiny_data(clevr_folder: Path) -> Path:
    """The data directory that `tiny_run` learnt from."""
    return clevr_folder


@pytest.fixture(scope="session")
def tiny_model(tiny_run: Path) -> "Kyvo":
    """The model of `tiny_run`: its scenes are valid, not right."""
    import trilingua

    return trilingua.load(tiny_run)
