"""Annotation files, polygons in level-0 pixels, and masks."""
