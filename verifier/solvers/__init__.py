"""One adapter a solver: the only files that know its name and its statuses."""
