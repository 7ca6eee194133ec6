import os
import signal
import threading

import pytest

from trilingua.training.interruption import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_acts(number: signal.Signals) -> None:
    heard: list[int] = []
    before = signal.signal(number, lambda got, frame: heard.append(got))
    try:
        with stop_on_signals() as request:
            assert not request.requested
            os.kill(os.getpid(), number)
            assert request.requested
            assert heard == []
            os.kill(os.getpid(), number)
            assert heard == [number]
        os.kill(os.getpid(), number)
        assert heard == [number, number]
    finally:
        signal.signal(number, before)


def test_another_thread_goes_without() -> None:
    seen: list[bool] = []

    def work() -> None:
        with stop_on_signals() as request:
            seen.append(request.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
