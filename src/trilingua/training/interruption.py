"""Turns SIGINT and SIGTERM into a request that a loop can ask about between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopRequest:
    """Whether a signal asked the loop to stop."""

    requested = False


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Yield a request that the first SIGINT or SIGTERM sets; a second signal acts as it always does.

    Outside the main thread signals cannot be caught: the request then stays unset.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        request.requested = True
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in signals:
        signal.signal(number, ask_to_stop)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
