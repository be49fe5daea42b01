"""Jobs: one store call in a thread each, and the message it returns."""
