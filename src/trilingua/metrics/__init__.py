"""Figures of merit. Nothing here sees a model or a tokenizer."""
