"""Values and messages between the processes that grade, as plain data."""
