"""The same in every run and everywhere: examples are fixed, none is timed, and Ctrl-C is heard."""

import signal

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

# A shell without job control starts what it puts behind itself (`make test &`) deaf to Ctrl-C, and
# so would be the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
