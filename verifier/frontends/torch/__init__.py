"""How a torch module is read, replayed and rebuilt."""
