"""What is answered: verdicts, replay, results, and what they may cost."""
