"""Questions put together from verify()."""
