"""What a result was made with: code, uncommitted changes, libraries, command and machine."""

import hashlib
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from study.spec.components import outside_packages

# The dependencies of pyproject.toml.
LIBRARIES = (
    "ray",
    "torch",
    "torchvision",
    "timm",
    "optuna",
    "numpy",
    "scikit-learn",
    "threadpoolctl",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "PyYAML",
    "rich",
    "matplotlib",
    "jinja2",
    "jaxtyping",
    "Pillow",
    "openpyxl",
    "pytorch-metric-learning",
    "safetensors",
    "scikit-image",
    "cmaes",
    "huggingface-hub",
    "packaging",
)
ROOT = Path(__file__).parents[3]


def provenance(command: str) -> str:
    """JSON with commit, uncommitted changes, hash of the lock file, versions, command and platform.

    Args:
        command: The command line as it was typed.
    """
    difference = _git("diff", "HEAD")
    lock = ROOT / "uv.lock"
    return json.dumps(
        {
            "commit": _git("rev-parse", "HEAD").strip(),
            "difference_sha256": hashlib.sha256(difference.encode()).hexdigest() if difference else "",
            "difference": difference[:20_000],
            "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "",
            "versions": {**{name: version(name) for name in LIBRARIES}, **outside_packages()},
            "python": platform.python_version(),
            "platform": platform.platform(),
            "command": command,
            "executable": sys.executable,
        }
    )


def _git(*args: str) -> str:
    """The output of a git command in the project's folder; empty where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *args], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
