"""Find the store to open, and the user namespace to open it in."""
