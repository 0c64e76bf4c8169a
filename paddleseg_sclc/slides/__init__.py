"""Slides in and pyramids out: reading, tile geometry, tissue detection, tiled TIFF."""
