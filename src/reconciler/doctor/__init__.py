"""``check``: everything between Docker and HAProxy, what works, and how to mend the rest.

What is read (:mod:`reconciler.doctor.reading`) and how it is judged
(:mod:`reconciler.doctor.checks`) are apart: a judgement is a pure function of the evidence.
"""

from __future__ import annotations

from reconciler.config import Settings
from reconciler.doctor.checks import judged
from reconciler.doctor.finding import Code, Finding, Verdict
from reconciler.doctor.reading import read_evidence


__all__ = ["Code", "Finding", "Verdict", "findings"]


async def findings(settings: Settings) -> list[Finding]:
    """Look at everything and return what was found. Changes nothing.

    Raises ConfigError for settings that cannot work at all.
    """
    return judged(await read_evidence(settings))
