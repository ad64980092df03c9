"""Shapes and types of every signature are checked while the tests run."""

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["models", "study.data", "study.evidence"], "beartype.beartype")

settings.register_profile("shared", deadline=None)  # a shared machine is no clock
settings.load_profile("shared")
