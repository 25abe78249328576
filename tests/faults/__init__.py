"""Faults and churn around the real daemon: shared by the tests and the benchmark.

``Rig`` puts the parts up, ``CHURN`` is what happens to containers, ``TROUBLE`` what goes
wrong, and ``expected`` the one place that says what HAProxy's table must then be.
"""

from tests.faults.churn import CHURN
from tests.faults.rig import Rig
from tests.faults.traffic import Traffic
from tests.faults.trouble import TROUBLE
from tests.faults.truth import Expected, expected


__all__ = ["CHURN", "TROUBLE", "Expected", "Rig", "Traffic", "expected"]
