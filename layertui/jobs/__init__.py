"""Jobs: each makes one store call in a thread and returns its result."""
