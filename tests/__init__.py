"""Tests, in folders that mirror the packages; tests/reference holds exact answers that benchmarks use too."""
