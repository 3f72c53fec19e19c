"""Software chips at the wire. They import nothing of firmware."""
