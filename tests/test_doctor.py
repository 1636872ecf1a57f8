import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from attnprune_edu import cli, doctor
from attnprune_edu.networks import inference
from attnprune_edu.report import checkpoints


def test_this_environment_is_in_order(capsys, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 << 30))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert cli.main(["doctor"]) == 0
    report = capsys.readouterr().out
    for part in (
        "Python 3",
        "torch ",
        "threads",
        "memory",
        "CIFAR-10 is not on this machine",
        "article-net-cifar10 loads",
        "kernel",
    ):
        assert part in report
    assert "attnprune-edu data" in report and "checks passed" in report


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
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    finding = doctor.torchvision_pair()
    assert not finding.in_order and "built for torch==" in finding.found and "2.6.0" in finding.found and finding.advice


def test_too_many_threads_and_too_little_memory(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: os.cpu_count() + 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 29))
    assert "OMP_NUM_THREADS" in doctor.processor().advice and not doctor.processor().in_order
    assert "0.5 GB" in doctor.memory().found and not doctor.memory().in_order


@pytest.mark.parametrize(
    ("chosen", "in_order", "says"),
    [
        ("", True, "embedded"),
        ("shapes", True, "shapes"),
        ("cifar10", False, "not on this machine"),
        ("x.npz", False, "x.npz"),
        ("mnist", False, "mnist"),
    ],
)
def test_which_data_the_lessons_will_use(monkeypatch, chosen, in_order, says):
    monkeypatch.setenv("ATTNPRUNE_DATA", chosen)
    finding = doctor.cifar10()
    assert finding.in_order is in_order and says in finding.found
    assert in_order or finding.advice


@pytest.mark.parametrize("missing", ["tqdm", "torchvision", "jupyterquiz"])
def test_the_command_names_a_package_that_cannot_be_imported(missing):
    code = f"import sys; sys.modules['{missing}'] = None; import attnprune_edu_command as c; sys.exit(c.main())"
    run = subprocess.run([sys.executable, "-c", code, "doctor"], capture_output=True, text=True)
    assert run.returncode == 1
    assert missing in run.stderr + run.stdout
    assert "Traceback" not in run.stderr


def test_a_damaged_network_and_a_foreign_kernel_are_named(monkeypatch, tmp_path):
    (tmp_path / "article-net-cifar10.safetensors").write_bytes(b"cut")
    monkeypatch.setattr(checkpoints, "PRETRAINED", tmp_path)
    damaged, *absent = failing(doctor.shipped_networks())
    assert "damaged" in damaged.found
    names = ("article-net-shapes", "resnet20-cifar10", "resnet20-shapes")
    assert len(absent) == 3 and all(f"no network '{name}'" in it.found for name, it in zip(names, absent, strict=True))
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", lambda *_: SimpleNamespace(argv=["/elsewhere/bin/python"]))
    assert "/elsewhere" in doctor.notebook_kernel().found and "ipykernel install" in doctor.notebook_kernel().advice


def test_a_failed_check_is_the_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Finding(False, "something is wrong", "mend it")])
    assert cli.main(["doctor"]) == 1
    assert "mend it" in capsys.readouterr().out


def test_data_command_reports_failure_and_success(monkeypatch, capsys, tmp_path):
    from attnprune_edu.data import download

    def fails(folder):
        raise download.DownloadError("every source failed")

    monkeypatch.setattr(download, "download_cifar10", fails)
    assert cli.main(["data"]) == 1 and "every source failed" in capsys.readouterr().err
    monkeypatch.setattr(download, "download_cifar10", lambda folder: folder / "cifar-10-batches-py")
    assert cli.main(["data"]) == 0 and "cifar-10-batches-py" in capsys.readouterr().out


def test_the_command_is_installed():
    command = os.path.join(os.path.dirname(sys.executable), "attnprune-edu")
    assert "doctor" in subprocess.run([command, "--help"], check=True, capture_output=True, text=True).stdout


def test_best_device_is_one_torch_can_use():
    assert torch.zeros(1, device=inference.best_device()).sum() == 0
