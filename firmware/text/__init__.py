"""Fonts, language tables, raster, barcodes. A leaf: imports nothing of the firmware."""
