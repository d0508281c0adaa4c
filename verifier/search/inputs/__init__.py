"""Splitting the input box, in numpy."""
