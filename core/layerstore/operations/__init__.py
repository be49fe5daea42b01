"""Everything that changes a store, under its locks."""
