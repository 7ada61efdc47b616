"""`python -m autograd`: the command line."""

import sys

from autograd.cli import main

sys.exit(main())
