"""Submissions through the sandbox: one, many at once, and what comes of them as a harmless notebook."""
