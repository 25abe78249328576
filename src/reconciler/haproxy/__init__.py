"""A client for HAProxy's runtime API: exact framing, checked words, typed answers.

Usable without the rest of this package; ``docs/runtime-client.md`` shows how.
"""

from reconciler.haproxy.client import RuntimeClient
from reconciler.haproxy.proxy import RuntimeProxy
from reconciler.haproxy.replies import Info, Reply, Stat


__all__ = ["Info", "Reply", "RuntimeClient", "RuntimeProxy", "Stat"]
