import functools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from conftest import ROOT

import attnprune_edu as ap
from attnprune_edu.data.images import from_arrays

HERE = Path(__file__).parent
COLUMNS = [
    "model",
    "criterion",
    "pruning_ratio",
    "scope",
    "seed",
    "pruned_accuracy",
    "accuracy",
    "params",
    "macs",
    "seconds",
]


def slow(model, seconds=0.4):
    """A criterion that takes its time, so that something can happen meanwhile."""
    time.sleep(seconds)
    return ap.importance(model, "l1")


def fails(model):
    raise ArithmeticError("no idea")


def a_network(seed):
    torch.manual_seed(seed)
    return ap.ArticleNet((4, 6), 10, num_classes=3, image_size=16).eval()


def a_data_set():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (30, 16, 16, 3), generator=generator, dtype=torch.uint8).numpy()
    labels = (torch.arange(30) % 3).numpy()
    return from_arrays(images, labels, images, labels, name="noise", class_names=("a", "b", "c"))


QUESTION = {"criteria": {"slow": slow}, "ratios": [0.25, 0.5, 0.75], "seeds": [0, 1, 2, 3], "progress": False}


def a_sweep(folder, executor=None):
    return ap.sweep({"net": a_network}, a_data_set(), **QUESTION, folder=folder, executor=executor)


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in Path(folder).glob("*.json")}


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def in_background(code, *arguments):
    surroundings = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT / "tests"), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen([sys.executable, *code, *map(str, arguments)], env=surroundings, start_new_session=True)


def kill_when_begun(folder, pid):
    """Kill the process ``pid`` as soon as there are two finished cells in ``folder``."""
    wait_for(lambda: len(stamps(folder)) >= 2)
    assert len(stamps(folder)) < 10, "too late to disturb anybody"
    os.kill(pid, signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:pruning_ratio=0.5 would empty")
def test_every_cell_is_what_it_would_be_by_hand(tiny_model, tiny_data):
    table = ap.sweep(
        {"net": tiny_model}, tiny_data, ["l1", "random"], [0.0, 0.5], ["local", "global"], [0, 1], progress=False
    )
    assert list(table.columns) == COLUMNS and len(table) == 2 * 2 * 2 * 2
    assert (table[table.pruning_ratio == 0].params == ap.count_params(tiny_model)).all()
    for row in table.query("scope == 'local'").itertuples():
        keep = ap.keep_by_ratio(ap.importance(tiny_model, row.criterion, seed=row.seed), row.pruning_ratio)
        masked = ap.mask(tiny_model, keep)
        assert row.pruned_accuracy == row.accuracy == ap.accuracy(masked, tiny_data)
        assert row.params == ap.count_params(ap.remove(masked))


def test_repair_and_fine_tuning_come_after_pruning(train_tiny, tiny_data):
    model = train_tiny((8, 8), 20)
    how = {"repaired": {"num_images": 50}, "epochs": 2, "split": "train", "lr": 0.005, "batch_size": 10, "progress": False}
    row = ap.sweep({"net": model}, tiny_data, ["l1"], [0.6], **how).iloc[0]
    masked = ap.mask(model, ap.keep_by_ratio(ap.importance(model, "l1"), 0.6))
    repaired = ap.repair(masked, tiny_data, num_images=50)
    assert row.pruned_accuracy == ap.accuracy(masked, tiny_data, "train")
    assert row.repaired_accuracy == ap.accuracy(repaired, tiny_data, "train")
    small = ap.remove(repaired)
    ap.fine_tune(small, tiny_data, 2, lr=0.005, batch_size=10, progress=False)
    assert row.accuracy == ap.accuracy(small, tiny_data, "train")


def test_a_network_for_each_seed_and_coupled_layers(shapes_data):
    few = shapes_data.subset(train=100, validation=50, test=50)

    def network(seed):
        torch.manual_seed(seed)
        return ap.ResNet20((4, 4, 4), ((4,) * 3,) * 3).eval()

    table = ap.sweep({"ResNet20": network}, few, ratios=[0.5], seeds=[0, 1], progress=False)
    assert table.params.nunique() == 1 and table.params[0] < 0.4 * ap.count_params(network(0))


def test_what_is_finished_is_not_done_again(tmp_path, tiny_model, tiny_data):
    calls = tmp_path / "calls"
    calls.write_text("")

    def counted(model):
        calls.write_text(calls.read_text() + "x")
        return ap.importance(model, "l1")

    ask = functools.partial(ap.sweep, {"net": tiny_model}, tiny_data, folder=tmp_path, progress=False)
    first = ask({"counted": counted}, [0.25, 0.5])
    assert calls.read_text() == "xx"
    before = stamps(tmp_path)
    more = ask({"counted": counted}, [0.5, 0.75])
    assert calls.read_text() == "xxx" and before.items() <= stamps(tmp_path).items()
    assert more.iloc[0].equals(first.iloc[1])
    ask({"counted": counted}, [0.5], epochs=1)
    assert len(stamps(tmp_path)) == 4, "another question has files of its own"


def test_a_cell_that_fails_loses_no_other(tmp_path, tiny_model, tiny_data):
    criteria = {"l1": "l1", "fails": fails, "l2": "l2"}
    with pytest.raises(RuntimeError, match=r"1 of 3 cells failed.*net-fails-0.5-local-0.*no idea"):
        ap.sweep({"net": tiny_model}, tiny_data, criteria, folder=tmp_path, progress=False)
    assert len(stamps(tmp_path)) == 2


def test_progress_tells_what_was_reached(tiny_model, tiny_data, capsys):
    ap.sweep({"net": tiny_model}, tiny_data, ["l1"], [0.25, 0.5])
    shown = capsys.readouterr().err
    assert "2/2" in shown and "net-l1-0.5-local-0: " in shown and "%" in shown


def test_bad_input_is_named(tiny_model, tiny_data):
    for repaired in (None, "yes", {"imagse": 3}, {"seed": 1}):
        with pytest.raises(ValueError, match="repaired must be True, False or a dictionary with some of"):
            ap.sweep({"net": tiny_model}, tiny_data, repaired=repaired)
    with pytest.raises(ValueError, match="ratios must hold at least one value"):
        ap.sweep({"net": tiny_model}, tiny_data, ratios=[])
    with pytest.raises(ValueError, match="'exam'"):
        ap.sweep({"net": tiny_model}, tiny_data, split="exam")
    with ProcessPoolExecutor(1) as executor, pytest.raises(TypeError, match=r"pickle can write them \(no lambda"):
        ap.sweep({"net": lambda seed: tiny_model}, tiny_data, executor=executor, progress=False)


def test_processes_side_by_side_give_the_same_table(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    spawn = multiprocessing.get_context("spawn")
    how = {"mp_context": spawn, "initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(2, **how) as executor:
        side_by_side = a_sweep(tmp_path / "two", executor)
    assert len(list((tmp_path / "two").iterdir())) == 12, "nothing but the cells is left"
    assert side_by_side.drop(columns="seconds").equals(a_sweep(None).drop(columns="seconds"))


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_sweep_goes_on_and_redoes_nothing(tmp_path):
    process = in_background(["-c", "import sys, test_sweep; test_sweep.a_sweep(sys.argv[1])"], tmp_path)
    wait_for(lambda: len(stamps(tmp_path)) >= 3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = stamps(tmp_path)
    assert 3 <= len(before) < 12
    in_background(["-c", "import sys, test_sweep; test_sweep.a_sweep(sys.argv[1])"], tmp_path).wait()
    after = stamps(tmp_path)
    assert len(after) == 12 and before.items() <= after.items(), "no finished cell was written again"
    for path in tmp_path.glob("*.json"):
        assert list(json.loads(path.read_text())) == COLUMNS


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_dask_cluster_that_loses_a_worker_loses_no_cell(tmp_path):
    distributed = pytest.importorskip("distributed")
    address, cells = tmp_path / "scheduler.json", tmp_path / "cells"
    loopback = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file"]
    processes = [in_background(["-m", "distributed.cli.dask_scheduler"], "--port", "0", *loopback, address)]
    try:
        wait_for(address.exists)
        worker = ["-m", "distributed.cli.dask_worker"]
        options = ["--nthreads", "1", "--no-nanny", *loopback, address, "--local-directory", tmp_path]
        processes += [in_background(worker, "--name", name, *options) for name in ("one", "two")]
        with distributed.Client(scheduler_file=str(address)) as client:
            client.wait_for_workers(2, timeout=120)
            killing = "import sys, test_sweep; test_sweep.kill_when_begun(sys.argv[1], int(sys.argv[2]))"
            killer = in_background(["-c", killing], cells, processes[1].pid)
            table = a_sweep(cells, client.get_executor())
            assert killer.wait(60) == 0 and processes[1].wait(60) == -signal.SIGKILL
            assert len(client.scheduler_info()["workers"]) == 1
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert len(table) == len(stamps(cells)) == 12
    assert table.drop(columns="seconds").equals(a_sweep(None).drop(columns="seconds"))
