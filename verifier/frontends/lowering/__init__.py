"""From steps, one operation each, to a Network."""
