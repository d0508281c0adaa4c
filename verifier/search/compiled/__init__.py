"""Splitting the input box, in machine code."""
