"""Provenance: what an artifact depends on, in a form that equals itself on every run."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

KEY = b"projected_grpo"  # of the metadata of a Parquet or safetensors file
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow", "matplotlib", "landlockpy", "seccompy")
NO_SETTINGS = ("code", "packages", "files", "resume", "note")  # parameters of a rule


def installed(package: str) -> str | None:
    """Return a package's version; None where it is not installed, as torch need not be for the tables."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def provenance(config: Mapping, code: str, seed: int | None = None) -> dict:
    """Return what an artifact depends on, in a form that equals itself on every run.

    `config` is a slice of it, or a rule's parameters, of which those that are no settings are left out.
    """
    config = {key: value for key, value in config.items() if key not in NO_SETTINGS}
    return {
        "config": config,
        "code": code,
        "seed": seed,
        "device": _device(config.get("compute", {}).get("device", "cpu")),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "packages": {package: found for package in PACKAGES if (found := installed(package))},
    }


def _device(device: str) -> str:
    """Return cpu, or the name of the GPU."""
    if device == "cpu":
        return device
    import torch  # not for those who only read tables

    return torch.cuda.get_device_name(device)
