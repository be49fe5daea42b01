"""Find damage in a store, and repair it."""
