"""Data sets: made, read, tokenized into shards, packed into batches. Nothing here sees a model."""
