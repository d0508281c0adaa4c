"""What is measured, against whom, and the last figures; run as `python -m benchmarks.<name>`."""
