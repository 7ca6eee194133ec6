"""The command line: one module a verb. The only floor that prints."""
