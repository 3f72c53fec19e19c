"""Screens as trees of named widgets, and keys. No money."""
