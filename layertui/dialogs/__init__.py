"""The dialogs. None of them calls a store: they return what the user decided."""
