"""Pytest's settings for the lessons under nbval; those of the other tests are in tests/conftest.py."""

import os
from typing import Any

import nbval.kernel
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Start kernels without pytest's variable, which keeps ipykernel from capturing all that it does in Jupyter."""
    start = nbval.kernel.start_new_kernel

    def start_as_in_jupyter(*args: Any, **kwargs: Any) -> Any:
        environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
        return start(*args, env=environment, **kwargs)

    patch = pytest.MonkeyPatch()
    patch.setattr(nbval.kernel, "start_new_kernel", start_as_in_jupyter)
    config.add_cleanup(patch.undo)
