"""The panels of the layer under the cursor."""
