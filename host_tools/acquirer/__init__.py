"""An honest test bank in one process."""

import warnings

# psec asks ``cryptography`` for TripleDES at its old place; the advice is for
# psec's authors, and would else stand on the terminal of every user of `till`.
warnings.filterwarnings("ignore", message="TripleDES has been moved")
