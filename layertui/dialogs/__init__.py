"""The dialogs. None of them talks to a store: they return what the user decided."""
