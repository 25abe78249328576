"""``check``: everything between Docker and HAProxy, what works, and how to mend the rest.

What is read (:mod:`reconciler.doctor.reading`) and how it is judged
(:mod:`reconciler.doctor.checks`) are apart: a judgement is a pure function of the evidence.
"""

from __future__ import annotations

from reconciler.config import Settings
from reconciler.doctor.checks import judged
from reconciler.doctor.finding import Code, Finding, Verdict
from reconciler.doctor.reading import PATIENCE_SECONDS, read_evidence


__all__ = ["Code", "Finding", "Verdict", "findings"]


async def findings(
    settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS
) -> list[Finding]:
    """Look at everything and return what was found. Changes nothing.

    ``patience_seconds`` is how long one answer is waited for. Raises ConfigError for
    settings that cannot work at all.
    """
    evidence = await read_evidence(settings, patience_seconds=patience_seconds)
    return judged(evidence)
