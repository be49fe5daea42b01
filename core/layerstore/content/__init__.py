"""Read a layer or a chain of layers without mounting it; nothing here writes to a store."""
