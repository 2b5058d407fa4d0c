"""A widget that nobody sees: it has another one saved as a picture, for a page that is opened without its kernel."""

from __future__ import annotations

import anywidget
from traitlets import Dict, Unicode

from labkit.view import assets


class Kept(anywidget.AnyWidget):
    """Wherever the widget with the model id ``of`` is shown, ``picture`` (a mimebundle) is saved in its place."""

    _esm = assets.keeper()
    of = Unicode().tag(sync=True)
    picture = Dict().tag(sync=True)
