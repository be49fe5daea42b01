"""The tar-split format: everything in a tar except file contents, from which the exact tar can be rebuilt."""
