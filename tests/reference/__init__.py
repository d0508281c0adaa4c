"""Exact answers that the verifier is held to; nothing here uses the verifier's own bounds or search."""
