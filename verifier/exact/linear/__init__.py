"""LP and MILP."""
