"""Splitting ReLUs."""
