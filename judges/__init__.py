"""What tests and benchmarks judge the verifier by: random problems and modules, and answers found without it."""
