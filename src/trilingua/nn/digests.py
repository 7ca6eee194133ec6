"""What tells two sets of weights apart: a digest of every tensor, by name."""

import hashlib
from collections.abc import Collection

from torch import nn


def digest_weights(module: nn.Module, *, without: Collection[str] = ()) -> str:
    """Return the SHA-256 of the weights and buffers of a module: equal digests give codes the same meaning.

    Args:
        module: whose weights.
        without: children that are left out, since they have no part in the codes.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if name.partition(".")[0] in without:
            continue
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
