"""Layout: words in, laid-out page out. See `page.lay_out` and `overlay.merge`."""

from docfleet.engines.local.layout.overlay import merge
from docfleet.engines.local.layout.page import lay_out

__all__ = ["lay_out", "merge"]
