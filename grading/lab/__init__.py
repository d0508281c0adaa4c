"""A lab as text, notebook, release and archive, and what a student hands in of it."""
