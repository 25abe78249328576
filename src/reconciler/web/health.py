"""Whether all is well: the details behind ``/readyz``, and the page's head."""

from __future__ import annotations

from typing import Any

from reconciler.controller import Controller
from reconciler.core.model import KeptFor
from reconciler.status import WorkerStatus


def readiness(controller: Controller) -> tuple[bool, dict[str, Any]]:
    """Return whether every HAProxy is reached and converged, and the details.

    One that is about to end does not count. None at all is not ready: nobody is served.
    Too few slots do not make us unready (restarting us would mend nothing), but are told. So
    is how many keep a slot that nothing asks for.
    """
    workers = controller.workers
    staying = [worker for worker in workers if not worker.is_leaving]
    is_ready = (
        controller.is_informed
        and bool(staying)
        and all(worker.is_reached and worker.has_converged for worker in staying)
    )
    detail = {
        "ready": is_ready,
        "docker": docker_status(controller),
        "haproxy": [
            {
                "haproxy": worker.name,
                "leaving": worker.is_leaving,
                **haproxy_status(worker),
                "unplaced": len(worker.all_unplaced()),
                "kept": {why.value: worker.count_kept(why) for why in KeptFor},
                "generation": worker.generation,
                "error": worker.error,
            }
            for worker in workers
        ],
        # Whoever monitors may ask by any name, so no container's name is told here.
        "problems": controller.problems,
    }
    return is_ready, detail


def docker_status(controller: Controller) -> dict[str, Any]:
    """Return whether Docker was read, and is followed now."""
    return {
        "read": controller.is_informed,
        "followed": controller.engine_error is None,
        "error": controller.engine_error,
    }


def haproxy_status(worker: WorkerStatus) -> dict[str, Any]:
    """Return whether a HAProxy answers, has what it should, and which process it is."""
    return {
        "reached": worker.is_reached,
        "converged": worker.has_converged,
        "version": worker.process.version if worker.process else None,
        "pid": worker.process.pid if worker.process else None,
    }
