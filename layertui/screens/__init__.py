"""The main screen, the check screen and the opening screen."""
