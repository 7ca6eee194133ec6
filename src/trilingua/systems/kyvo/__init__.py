"""Kyvo: structured scenes as a third language beside text and pictures."""
