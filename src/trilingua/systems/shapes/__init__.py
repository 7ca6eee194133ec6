"""Shape tokenizers: VAT's, CG-MLLM's, SAR3D's and Kyvo's behind one interface; see README.md."""
