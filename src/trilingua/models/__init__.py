"""Whole networks. They see ids, positions and masks, never a tokenizer or a task."""
