"""Shape tokenizers: SAR3D's, VAT's, Kyvo's and CG-MLLM's choices behind one interface; see README.md."""
