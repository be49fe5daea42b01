"""Keys and actions, and what people remapped."""
