"""How this program is started again as another process."""

from __future__ import annotations

import sys

COMMAND = (sys.executable, "-P", "-m", "sweep")
"""Without `-P` Python would look for packages in the person's folder first, and take a `models.py`
that lies there for ours."""
