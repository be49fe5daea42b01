"""The screen that checks and repairs a store."""
