"""One file for each chip or protocol."""
