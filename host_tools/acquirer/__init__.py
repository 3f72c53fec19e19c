"""An honest test bank in one process."""

import warnings

# psec asks ``cryptography`` for TripleDES at its old place, pyemv uses
# double-length keys as EMV cards hold them. The advice is for their authors,
# and would else stand on the screen of every user of ``till``.
warnings.filterwarnings("ignore", message="TripleDES has been moved")
warnings.filterwarnings("ignore", message="Two-key TripleDES")
warnings.filterwarnings("ignore", message="Single-key TripleDES")
