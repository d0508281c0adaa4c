"""Mixed-integer search with dependency analysis: method="milp"."""
