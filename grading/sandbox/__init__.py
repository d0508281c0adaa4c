"""bubblewrap from outside, and what confines a process inside it."""
