"""What runs in the sandbox: the processes that run a student's cells, and the one that judges them."""
