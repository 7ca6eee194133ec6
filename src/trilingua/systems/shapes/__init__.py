"""Shape tokenizers: VAT's, CG-MLLM's and Kyvo's behind one interface; see README.md."""
