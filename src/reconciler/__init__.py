"""A slot reconciler: live Docker containers onto HAProxy's pre-allocated servers."""

__version__ = "0.1.0"
