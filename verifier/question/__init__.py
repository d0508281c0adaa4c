"""What is asked: numbers, boxes, specs and their margins."""
