"""What tells two sets of weights apart: a digest of every tensor, by name."""

import hashlib

from torch import nn


def digest_weights(module: nn.Module) -> str:
    """Return the SHA-256 of all weights and buffers of a module: equal digests give codes the same meaning."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
