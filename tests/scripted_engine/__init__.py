"""A scripted Docker engine: the HTTP API on a unix socket, and no containers behind it.

For the embedded demo, for faults that no real engine shows on demand, and for numbers of
containers that no test machine can run. ``ScriptedEngine`` is the engine; its verbs
(``run``, ``stop``, ``kill``, …) emit what a real engine emits.
"""

from tests.scripted_engine.control import Control, NoSuchContainerError
from tests.scripted_engine.engine import ScriptedEngine
from tests.scripted_engine.model import Addresses, Network, ScriptedContainer


__all__ = [
    "Addresses",
    "Control",
    "Network",
    "NoSuchContainerError",
    "ScriptedContainer",
    "ScriptedEngine",
]
