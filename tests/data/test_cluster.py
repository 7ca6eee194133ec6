"""Work done by a Ray cluster of two machines, which are two nodes of this one."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trilingua.core.errors import ConfigError, InputError, WorkerError
from trilingua.core.io import digest_file
from trilingua.data.clevr.generate import ClevrConfig, generate_clevr
from trilingua.data.cluster import cluster_workers

ray = pytest.importorskip("ray")
cloudpickle = pytest.importorskip("ray.cloudpickle")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the machines cannot import a test
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


_folder = Path()


def _enter(folder: Path) -> None:
    global _folder
    _folder = folder


def _sign(unit: int) -> None:
    (_folder / f"{unit}.txt").write_text(ray.get_runtime_context().get_node_id())
    time.sleep(0.3)  # long enough that one machine alone cannot be done before the other has begun


def _refuse(unit: int) -> None:
    raise InputError(f"unit {unit}: refused")


def _sign_or_refuse(unit: int) -> None:
    if unit == 7:
        raise InputError(f"unit {unit}: refused")
    _sign(unit)


def _break(unit: int) -> None:
    raise KeyError(unit)


def test_both_machines_work_and_every_unit_is_done_once(address: str, tmp_path: Path) -> None:
    with cluster_workers(address, _enter, (tmp_path,)) as run:
        run(_sign, list(range(30)), title="signing", total=30)
    signed = {path.stem: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(map(int, signed)) == list(range(30))
    assert len(set(signed.values())) == 2


def test_errors_come_back_as_they_were_raised(address: str, tmp_path: Path) -> None:
    with cluster_workers(address, _enter, (tmp_path,)) as run:
        with pytest.raises(InputError, match=r"^unit 7: refused$"):
            run(_refuse, [7], title="refusing", total=1)
        with pytest.raises(WorkerError, match=r"^cluster: KeyError: 7; give the same command to go on$"):
            run(_break, [7], title="breaking", total=1)


def test_an_error_amid_work_ends_the_rest_and_leaves_nothing_that_calls_ray(address: str, tmp_path: Path) -> None:
    units = list(range(60))
    for _ in range(2):  # what an abandoned run had left crashed the process once the cluster was left
        with (
            pytest.raises(InputError, match=r"^unit 7: refused$") as kept,
            cluster_workers(address, _enter, (tmp_path,)) as run,
        ):
            run(_sign_or_refuse, units, title="signing", total=len(units))
        assert kept.tb is not None  # its frames are what kept Ray's threads alive
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("StreamingExecutor")]
    assert len(list(tmp_path.iterdir())) < len(units) - 1


def test_a_cluster_makes_the_same_bytes_as_one_process(address: str, tmp_path: Path) -> None:
    config = ClevrConfig(num_scenes=4, seed=3, questions_per_scene=2, instructions_per_scene=1)
    here = generate_clevr(tmp_path / "here", config)
    there = generate_clevr(tmp_path / "there", config, cluster=address)
    assert here == there
    names = [path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*") if path.is_file()]
    assert len(names) > 10
    for name in names:
        assert digest_file(tmp_path / "here" / name) == digest_file(tmp_path / "there" / name), name


def test_no_cluster_is_an_error_in_words() -> None:
    message = r"^cluster: '127.0.0.1:1' cannot be reached; start one with `ray start"
    with pytest.raises(ConfigError, match=message), cluster_workers("127.0.0.1:1", _enter, (Path(),)):
        pass
