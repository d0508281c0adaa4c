"""Complete search: cut a question into parts until each part is settled; the bounding method is an argument."""
