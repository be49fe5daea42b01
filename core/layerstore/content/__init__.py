"""Reading a layer, or a chain of layers, without mounting it. Nothing here writes to a store."""
