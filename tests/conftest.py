"""For all tests."""

from __future__ import annotations

import signal

from hypothesis import settings

# how long one example takes says more of the machine than of the code
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # started in the background of a shell: the commands that tests interrupt would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
