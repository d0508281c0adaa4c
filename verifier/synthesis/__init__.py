"""Synthesis: a solver finds a network's weights, and proves what no weights can do."""
