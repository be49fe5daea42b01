"""Graph drivers: how a layer's files lie on disk."""
