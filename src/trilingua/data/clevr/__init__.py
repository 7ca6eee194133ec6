"""CLEVR: scenes by its rules, questions by programs, instructions, and the directories that hold them."""
