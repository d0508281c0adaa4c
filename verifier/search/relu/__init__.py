"""ReLU splitting: subdomains are signs of neurons, bounded in batches with torch, which no other search needs."""

from verifier.errors import installed, missing

if not installed("torch"):
    raise missing("ReLU splitting needs torch, which is not installed", "torch")
