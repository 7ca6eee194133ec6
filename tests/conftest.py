"""What all tests share: modules that use warp are kept from the run-time check of annotations.

Warp compiles a kernel from its source and its annotations, and its structs are no Python types; a checking
decorator would break both. So those modules are imported here first, with the check's import hook set aside.
"""

import importlib
import sys
from pathlib import Path

import trilingua.data.renderers

renderers = Path(trilingua.data.renderers.__file__).parent
kernels = sorted(path.stem for path in renderers.glob("*.py") if "import warp" in path.read_text())

hooks = [finder for finder in sys.meta_path if type(finder).__module__.startswith("jaxtyping")]
sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in hooks]
for name in kernels:
    importlib.import_module(f"trilingua.data.renderers.{name}")
sys.meta_path[:] = [*hooks, *sys.meta_path]
