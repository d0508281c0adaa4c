"""How a VNN-LIB property is read."""
