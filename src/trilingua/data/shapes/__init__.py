"""3D objects for training shape tokenizers: procedural ones with captions, furniture libraries, meshes in folders."""
