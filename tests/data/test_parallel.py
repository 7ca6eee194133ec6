"""Units of work in several processes: what each process has, and that an error comes back as it was."""

import os
import signal
from pathlib import Path

import pytest

from trilingua.core.errors import InputError
from trilingua.data.parallel import workers

_folder = Path()


def start(folder: Path) -> None:
    global _folder
    _folder = folder


def work(unit: int) -> None:
    if unit == 13:
        raise InputError("unit 13: is not done")
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    (_folder / str(unit)).write_text(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')} {ignored}")


@pytest.mark.parametrize("count", [1, 2])
def test_all_is_done_by_processes_of_one_thread_that_leave_interrupts_to_the_first(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with workers(count, start, (tmp_path,)) as run:
        run(work, list(range(12)), title="units", total=12)
        with pytest.raises(InputError, match="unit 13: is not done"):
            run(work, [12, 13], title="units", total=14)
    told = [(tmp_path / str(unit)).read_text().split() for unit in range(12)]
    assert os.environ["OMP_NUM_THREADS"] == "3"
    if count == 1:
        assert {row[0] for row in told} == {str(os.getpid())}
    else:
        assert {tuple(row[1:]) for row in told} == {("1", "True")}
        assert str(os.getpid()) not in {row[0] for row in told}
