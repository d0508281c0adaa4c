"""Exact methods: a network and a spec written for a solver, and the solver's answer turned into a verdict."""
