"""Shape tokenizers: VAT's, CG-MLLM's and SAR3D's behind one interface; see README.md."""
