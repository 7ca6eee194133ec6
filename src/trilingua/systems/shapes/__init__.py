"""Shape tokenizers: VAT's and CG-MLLM's behind one interface; see README.md."""
