import dataclasses
import functools
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pandas as pd
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


def slow(model, seconds):
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


def a_sweep(folder=None, executor=None, seconds=0.4):
    criteria, axes = {"slow": functools.partial(slow, seconds=seconds)}, {"ratios": [0.25, 0.5, 0.75], "seeds": [0, 1, 2, 3]}
    return ap.sweep({"net": a_network}, a_data_set(), criteria, **axes, folder=folder, executor=executor, progress=False)


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


def by_hand(model, data, criterion, ratio, scope, seed, *, repaired=None, epochs=0, split="test", **training):
    """The numbers of a cell, from the functions that a reader would call one after the other."""
    keep = ap.keep_by_ratio(ap.importance(model, criterion, data=data, seed=seed), ratio, scope)
    masked = ap.mask(model, keep)
    numbers = {"pruned_accuracy": ap.accuracy(masked, data, split)}
    if repaired is not None:
        masked = ap.repair(masked, data, dense=model, seed=seed, **repaired)
        numbers["repaired_accuracy"] = ap.accuracy(masked, data, split)
    small = ap.remove(masked)
    if epochs:
        ap.fine_tune(small, data, epochs, seed=seed, progress=False, **training)
    costs = {"params": ap.count_params(small), "macs": ap.count_macs(small, data.image_shape)}
    return numbers | {"accuracy": ap.accuracy(small, data, split)} | costs


AXES = ["model", "criterion", "pruning_ratio", "scope", "seed"]
TUNED = {"epochs": 1, "split": "validation", "lr": 0.02, "batch_size": 40}


@pytest.mark.parametrize(
    ("asked", "how"),
    [
        ({"criteria": ["l1", "random"], "ratios": [0.3], "scopes": ["local", "global"], "seeds": [0, 3]}, {}),
        ({"criteria": ["taylor"], "ratios": [0.6], "seeds": [0, 3]}, {"repaired": {"num_images": 60}, **TUNED}),
        ({"ratios": [0.0, 0.4]}, {"repaired": {}, "split": "train"}),
    ],
    ids=["pruned", "repaired and fine-tuned", "repaired"],
)
def test_every_cell_is_what_it_would_be_by_hand(uneven_data, imperfect, asked, how):
    networks = {"one": imperfect(0), "other": imperfect(1)}
    told = how | {"repaired": how["repaired"] or True} if "repaired" in how else how  # True is repair without options
    table = ap.sweep(networks, uneven_data, **asked, **told, progress=False)
    axes = {"criteria": ["attention"], "scopes": ["local"], "seeds": [0]} | asked
    cells = itertools.product(networks, axes["criteria"], axes["ratios"], axes["scopes"], axes["seeds"])
    rows = [dict(zip(AXES, cell, strict=True)) | by_hand(networks[cell[0]], uneven_data, *cell[1:], **how) for cell in cells]
    assert table.drop(columns="seconds").equals(pd.DataFrame(rows))
    assert (table.seconds > 0).all()


CHANGES = {
    "images": lambda data: {"data": dataclasses.replace(data, train=data.validation)},
    "network": lambda data: {"models": {"net": a_network(1)}},
    "criterion": lambda data: {"criteria": {"l1": "l2"}},
    "ratio": lambda data: {"ratios": [0.5]},
    "ratio, a little": lambda data: {"ratios": [0.25 + 1e-9]},
    "scope": lambda data: {"scopes": ["global"]},
    "seed": lambda data: {"seeds": [1]},
    "repair": lambda data: {"repaired": True},
    "options of repair": lambda data: {"repaired": {"num_images": 50}},
    "epochs": lambda data: {"epochs": 1},
    "split": lambda data: {"split": "validation"},
    "options of training": lambda data: {"epochs": 1, "lr": 0.5},
}


@pytest.fixture(scope="module")
def asked_before(tmp_path_factory):
    """A folder with the answers to all questions that ``CHANGES`` makes of one, and how many cells were worked out."""
    folder, data = tmp_path_factory.mktemp("cells"), a_data_set()
    question = {"models": {"net": a_network(0)}, "data": data, "criteria": {"l1": "l1"}, "ratios": [0.25]}
    question |= {"folder": folder, "progress": False}
    ap.sweep(**question)
    return question, {name: ap.sweep(**question | change(data)) for name, change in CHANGES.items()}


def test_a_question_that_differs_in_anything_has_an_answer_of_its_own(asked_before):
    question, _ = asked_before
    assert len(stamps(question["folder"])) == 1 + len(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_question_is_recognised(asked_before, name):
    question, answers = asked_before
    assert ap.sweep(**question | CHANGES[name](a_data_set())).equals(answers[name]), "the seconds too: it was not done again"


def test_a_network_for_each_seed_and_coupled_layers(uneven_data):
    def network(seed):
        torch.manual_seed(seed)
        return ap.ResNet20((4, 4, 4), ((4,) * 3,) * 3).eval()

    table = ap.sweep({"ResNet20": network}, uneven_data, ratios=[0.5], seeds=[0, 1], progress=False)
    for row in table.itertuples():
        model = network(row.seed)
        scores = ap.couple(ap.importance(model), ap.coupled_layers(model, uneven_data.image_shape))
        masked = ap.mask(model, ap.keep_by_ratio(scores, 0.5))
        assert row.pruned_accuracy == ap.accuracy(masked, uneven_data)
        assert row.params == ap.count_params(ap.remove(masked)) < 0.4 * ap.count_params(model)


def test_adaptive_pruning_shares_the_epochs_with_what_follows(uneven_data, imperfect):
    training = {"lr": 0.01, "batch_size": 40}
    how = {"ratios": [0.5], "seeds": [4], "repaired": True, "progress": False, **training}
    table = ap.sweep({"net": imperfect()}, uneven_data, ["adaptive"], epochs=3, **how)
    masked = ap.prune_adaptively(imperfect(), uneven_data, 0.5, 1, seed=4, progress=False, **training).model
    repaired = ap.remove(ap.repair(masked, uneven_data, dense=imperfect(), seed=4))
    reached = [ap.accuracy(masked, uneven_data), ap.accuracy(repaired, uneven_data)]
    ap.fine_tune(repaired, uneven_data, 2, seed=4, progress=False, **training)
    reached.append(ap.accuracy(repaired, uneven_data))
    assert table[["pruned_accuracy", "repaired_accuracy", "accuracy"]].iloc[0].tolist() == reached
    assert table.params[0] == ap.count_params(repaired)
    with pytest.raises(ValueError, match=r"epochs must be at least 1 for the criterion 'adaptive'.*got 0"):
        ap.sweep({"net": imperfect()}, uneven_data, {"mine": "adaptive"}, progress=False)


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


@pytest.mark.parametrize("workers", [None, 1])
def test_a_cell_that_fails_loses_no_other(tmp_path, tiny_model, tiny_data, workers, capsys):
    criteria = {"l1": "l1", "fails": fails, "l2": "l2"}
    executor = ThreadPoolExecutor(workers) if workers else None
    with pytest.raises(RuntimeError, match=r"1 of 3 cells failed.*net-fails-0.5-local-0.*no idea") as caught:
        ap.sweep({"net": tiny_model}, tiny_data, criteria, folder=tmp_path, executor=executor)
    assert isinstance(caught.value.__cause__, ArithmeticError)
    assert len(stamps(tmp_path)) == len(list(tmp_path.iterdir())) == 2
    assert "2/3" in capsys.readouterr().err


def test_workers_give_the_same_table_and_leave_nothing_behind(tmp_path, uneven_data, imperfect):
    networks = {"one": imperfect(0), "other": imperfect(1)}
    ask = functools.partial(ap.sweep, networks, uneven_data, ["l1", "random"], [0.3, 0.6], seeds=[0, 1], progress=False)
    with ThreadPoolExecutor(1) as executor:
        table = ask(executor=executor, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(stamps(tmp_path)) == 16
    assert table.drop(columns="seconds").equals(ask().drop(columns="seconds"))


def test_an_interruption_calls_the_waiting_cells_off(tmp_path, tiny_model, tiny_data):
    class Interrupted(Executor):
        def __init__(self):
            self.given = []

        def submit(self, *_):
            if len(self.given) == 2:
                questions.append(next(tmp_path.iterdir()).name)
                raise KeyboardInterrupt
            self.given.append(Future())
            return self.given[-1]

    questions = []
    for epochs in (0, 1):
        executor = Interrupted()
        with pytest.raises(KeyboardInterrupt):
            ap.sweep({"net": tiny_model}, tiny_data, seeds=[0, 1, 2], epochs=epochs, executor=executor, folder=tmp_path)
        assert all(future.cancelled() for future in executor.given) and not list(tmp_path.iterdir())
    assert len(set(questions)) == 2, "sweeps that share a folder do not take each other's question away"


def test_progress_tells_what_was_reached(tmp_path, tiny_model, tiny_data, capsys):
    ap.sweep({"net": tiny_model}, tiny_data, ["l1"], [0.25, 0.5], folder=tmp_path)
    shown = capsys.readouterr().err
    assert "2/2" in shown and "net-l1-0.5-local-0: " in shown and "%" in shown
    ap.sweep({"net": tiny_model}, tiny_data, ["l1"], [0.5, 0.75], folder=tmp_path)
    shown = capsys.readouterr().err
    assert "0/2" not in shown and "1/2" in shown and "2/2" in shown, "what was finished before counts"


def test_bad_input_is_named(tiny_model, tiny_data):
    for repaired in (None, "yes", {"imagse": 3}, *({name: 1} for name in ("masked", "data", "dense", "seed"))):
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
        side_by_side = a_sweep(tmp_path / "two", executor, seconds=0)
    assert len(list((tmp_path / "two").iterdir())) == 12, "nothing but the cells is left"
    assert side_by_side.drop(columns="seconds").equals(a_sweep(seconds=0).drop(columns="seconds"))


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
    assert table.drop(columns="seconds").equals(a_sweep(seconds=0).drop(columns="seconds"))
