"""The version, as pyproject.toml has it; a test holds them equal."""

__version__ = "0.1.0"
