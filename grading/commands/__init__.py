"""The commands of `python -m grading`, by what they are about; each file adds its own to the parser."""
