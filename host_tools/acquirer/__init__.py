"""An honest test bank in one process."""
