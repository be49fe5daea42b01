"""The operations that change a store, each under the locks it needs."""
