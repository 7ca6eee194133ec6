"""Decoding: prompts in, ids out, under a grammar or freely. Nothing here sees a tokenizer."""
