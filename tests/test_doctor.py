import importlib.metadata
import math
import os
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from conftest import ROOT

from attnprune_edu import _limits, cli, doctor
from attnprune_edu.networks import inference
from attnprune_edu.report import checkpoints


def test_this_environment_is_in_order(capsys, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 << 30, total=16 << 30))
    monkeypatch.setattr(_limits, "memory", lambda: math.inf)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert cli.main(["doctor"]) == 0
    report = capsys.readouterr().out
    for part in (
        "Python 3",
        "torch ",
        "lessons are in",
        "threads",
        "memory",
        "CIFAR-10 is not on this machine",
        "CIFAR-10 can be kept in",
        "article-net-cifar10 loads",
        "kernel",
    ):
        assert part in report
    assert "attnprune-edu data" in report and "checks passed" in report


def test_missing_lessons_are_named(monkeypatch, tmp_path):
    assert f"{len(list((ROOT / 'notebooks').glob('*.ipynb')))} lessons are in {ROOT / 'notebooks'}" in str(doctor.lessons())
    monkeypatch.setattr(doctor.workbook.shipped_lessons, "__defaults__", (tmp_path,))
    finding = doctor.lessons()
    assert not finding.in_order and str(tmp_path) in finding.found and finding.advice


def failing(findings):
    return [finding for finding in findings if not finding.in_order]


def test_a_missing_and_an_old_package_are_named(monkeypatch):
    real = doctor.importlib.metadata.version

    def version(name):
        if name == "tqdm":
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "pandas" else real(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    found = {finding.found: finding.advice for finding in failing(doctor.versions())}
    assert set(found) == {"tqdm is not installed", "pandas 1.0"}
    assert all("pip install" in advice for advice in found.values())


def test_a_torchvision_built_for_another_torch_is_named(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy", "torch==2.13.0"])  # Debian's own says nothing
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    finding = doctor.torchvision_pair()
    assert not finding.in_order and "built for torch==" in finding.found and "2.6.0" in finding.found and finding.advice


@pytest.mark.parametrize(
    ("threads", "lowered_from", "chosen_by", "in_order", "says"),
    [
        (2, None, "", True, "2 threads; this process may use 2 of"),
        (2, 32, "", True, "32"),
        (5, None, "", False, "set OMP_NUM_THREADS to 2"),
        (5, None, "MKL_NUM_THREADS", False, "set MKL_NUM_THREADS to 2"),
    ],
)
def test_threads_are_compared_with_what_the_process_may_use(monkeypatch, threads, lowered_from, chosen_by, in_order, says):
    for name in _limits.CHOICES:
        monkeypatch.setenv(name, "5" if name == chosen_by else "")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(_limits, "cpus", lambda: 2)
    monkeypatch.setattr(_limits, "lower_threads", lambda: lowered_from)
    finding = doctor.processor()
    assert finding.in_order is in_order and says in str(finding)


GIB = 2**30


@pytest.mark.parametrize(
    ("free", "limit", "in_order", "says"),
    [
        (8 * GIB, math.inf, True, "8.0 GB"),
        (GIB // 2, math.inf, False, "0.5 GB"),
        (8 * GIB, 2 * GIB, True, "allows 2.0 GB"),
        (8 * GIB, 1 * GIB, False, "allows 1.0 GB"),
        (8 * GIB, 2**63 - 4096, True, "8.0 GB"),  # what cgroup v1 says where there is no limit
    ],
)
def test_memory_must_be_free_and_allowed(monkeypatch, free, limit, in_order, says):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free, total=16 * GIB))
    monkeypatch.setattr(_limits, "memory", lambda: limit)
    finding = doctor.memory()
    assert finding.in_order is in_order and says in finding.found
    assert ("allows" in finding.found) == (limit < 16 * GIB)
    assert in_order == (not finding.advice)


@pytest.mark.parametrize(
    ("chosen", "in_order", "says"),
    [
        ("", True, "embedded"),
        ("shapes", True, "shapes"),
        ("cifar10", False, "not on this machine"),
        ("absent.npz", False, "no such file"),
        ("damaged.npz", False, "damaged"),
        ("other.npz", False, "lacks x_train"),
        ("floats.npz", False, "must be uint8"),
        ("good.npz", True, "good.npz"),
        ("mnist", False, "mnist"),
    ],
)
def test_which_data_the_lessons_will_use(monkeypatch, tmp_path, chosen, in_order, says):
    monkeypatch.chdir(tmp_path)
    images, labels = np.zeros((4, 8, 8), np.uint8), np.arange(4)
    keras = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    np.savez("good.npz", **keras)
    np.savez("floats.npz", **keras | {"x_train": images / 255})
    np.savez("other.npz", pictures=images)
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:-100])
    monkeypatch.setenv("ATTNPRUNE_DATA", chosen)
    finding = doctor.data()
    assert finding.in_order is in_order and says in finding.found
    assert in_order or finding.advice


@pytest.mark.parametrize(
    ("cache", "in_order", "says"),
    [
        ("there", True, "can be kept"),
        ("not/there/yet", True, "can be kept"),
        ("file", False, "Not a directory"),
        ("file/below", False, "Not a directory"),
        ("broken-link/below", False, "No such file"),
        ("full", True, "already"),
    ],
)
def test_the_cache_folder_must_take_files(monkeypatch, tmp_path, cache, in_order, says):
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "broken-link").symlink_to("nowhere")
    (tmp_path / "full" / "cifar-10-batches-py").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("ATTNPRUNE_CACHE", str(tmp_path / cache))
    finding = doctor.cache_folder()
    assert finding.in_order is in_order and says in finding.found
    assert ("ATTNPRUNE_CACHE" in finding.advice) != in_order
    assert sorted(tmp_path.rglob("*")) == before, "looking must leave nothing behind"


def test_a_cache_folder_on_a_read_only_disk_is_named(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write wherever a disk can be written to
    monkeypatch.setenv("ATTNPRUNE_CACHE", str(tmp_path))
    finding = doctor.cache_folder()
    assert not finding.in_order and "Read-only file system" in finding.found and str(tmp_path) in finding.found


@pytest.mark.parametrize("missing", ["lazy_loader", "tqdm"])  # the package cannot be imported; a part of it cannot
def test_the_command_names_a_package_that_cannot_be_imported(missing):
    code = f"import sys; sys.modules['{missing}'] = None; import attnprune_edu_command as c; sys.exit(c.main())"
    run = subprocess.run([sys.executable, "-c", code, "doctor"], capture_output=True, text=True)
    assert run.returncode == 1
    assert missing in run.stderr + run.stdout
    assert "Traceback" not in run.stderr


def test_a_torchvision_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert "torchvision cannot be imported" in doctor.torchvision_pair().found


def test_data_of_other_kinds_are_listed_and_one_that_cannot_be_used_is_named(monkeypatch, tmp_path):
    assert [finding.found.split()[0] for finding in doctor.other_data()] == ["digits", "xrays", "faces"]
    assert all("not on this machine" in it.found and "attnprune-edu data" in it.advice for it in doctor.other_data())
    cache = tmp_path / "cache"
    cache.mkdir()
    for file in ("spoken-digits.npz", "pneumoniamnist.npz", "olivettifaces.mat"):
        (cache / file).touch()
    assert all(it.in_order and str(cache) in it.found and not it.advice for it in doctor.other_data())
    monkeypatch.setenv("ATTNPRUNE_XRAYS", str(tmp_path / "absent.npz"))
    monkeypatch.setenv("ATTNPRUNE_FACES", "drawn")
    _, xrays, faces = doctor.other_data()
    assert not xrays.in_order and "ATTNPRUNE_XRAYS names" in xrays.found and "no such file" in xrays.found and xrays.advice
    assert faces.in_order and faces.found == "faces: drawn (ATTNPRUNE_FACES)"


def test_a_damaged_network_and_a_foreign_kernel_are_named(monkeypatch, tmp_path):
    (tmp_path / "article-net-cifar10.safetensors").write_bytes(b"cut")
    monkeypatch.setattr(checkpoints, "PRETRAINED", tmp_path)
    damaged, *absent = failing(doctor.shipped_networks())
    assert "damaged" in damaged.found
    names = [f"{name}-{data}" for name, (_, all_data) in checkpoints.SHIPPED.items() for data in all_data][1:]
    assert all(f"no network '{name}'" in it.found for name, it in zip(names, absent, strict=True))
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda *_: SimpleNamespace(argv=["/elsewhere/bin/python"]))
    assert "/elsewhere" in doctor.notebook_kernel().found and "ipykernel install" in doctor.notebook_kernel().advice


def test_a_failed_check_is_the_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Finding(False, "something is wrong", "mend it")])
    assert cli.main(["doctor"]) == 1
    assert "mend it" in capsys.readouterr().out


def test_data_command_reports_failure_and_success(monkeypatch, capsys, tmp_path):
    from attnprune_edu.data import digits, download, faces, xrays

    def fails(folder):
        raise download.DownloadError("every source failed")

    monkeypatch.setattr(download, "download_cifar10", fails)
    assert cli.main(["data"]) == 1 and "every source failed" in capsys.readouterr().err
    monkeypatch.setattr(download, "download_cifar10", lambda folder: folder / "cifar-10-batches-py")
    assert cli.main(["data"]) == 0 and "cifar-10-batches-py" in capsys.readouterr().out
    for module, name in ((digits, "digits"), (xrays, "xrays"), (faces, "faces")):
        monkeypatch.setattr(module, f"download_{name}", lambda folder, name=name: folder / f"all-{name}")
        assert cli.main(["data", name]) == 0 and f"cache/all-{name}" in capsys.readouterr().out.replace(os.sep, "/")
    with pytest.raises(SystemExit):
        cli.main(["data", "mnist"])
    assert "choose from" in capsys.readouterr().err


def test_the_command_is_installed():
    command = os.path.join(os.path.dirname(sys.executable), "attnprune-edu")
    assert "doctor" in subprocess.run([command, "--help"], check=True, capture_output=True, text=True).stdout


def test_best_device_is_one_torch_can_use():
    assert torch.zeros(1, device=inference.best_device()).sum() == 0
