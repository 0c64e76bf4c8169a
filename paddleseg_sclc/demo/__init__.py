"""Synthetic H&E tissue: scenes in micrometres, drawn as stain concentrations, with exact masks."""
