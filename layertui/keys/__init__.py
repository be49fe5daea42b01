"""Actions and their keys, which users can remap."""
