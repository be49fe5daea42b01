"""Text for people: safe to print, and formatted."""
