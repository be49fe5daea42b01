"""The actions on layers, a module for each concern. `screens/main/actions.py` lists them."""
