"""What each path of the API answers, from the containers as they are now."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.scripted_engine import views
from tests.scripted_engine.control import Control, NoSuchContainerError
from tests.scripted_engine.filters import LIST_FILTERS, BadFilterError, Filters
from tests.scripted_engine.model import Listed, ScriptedContainer
from tests.scripted_engine.wire import Answer, Request


_SWARM_PATHS = ("/services", "/tasks", "/nodes", "/swarm")
_NOT_IN_SWARM = (
    "This node is not a swarm manager. "
    'Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)


def answer(control: Control, request: Request) -> Answer:
    """Answer every GET but the event stream."""
    route = _ROUTES.get(request.route)
    if route is None and request.path.startswith(_SWARM_PATHS):
        return Answer.error(503, _NOT_IN_SWARM)
    if route is None:
        return Answer.error(404, "page not found")
    try:
        return route(control, request)
    except BadFilterError as error:
        return Answer.error(400, str(error))
    except NoSuchContainerError:
        return Answer.error(404, f"No such container: {request.container_ref}")


def _ping(_control: Control, _request: Request) -> Answer:
    return Answer(200, b"OK", "text/plain; charset=utf-8")


def _version(_control: Control, _request: Request) -> Answer:
    return Answer.json(views.version())


def _info(control: Control, _request: Request) -> Answer:
    return Answer.json(views.info(control.containers, control.clock.now_ns()))


def _networks(control: Control, _request: Request) -> Answer:
    known = control.networks.values()
    return Answer.json(
        [{"Name": each.name, "Id": each.id, "Driver": each.driver} for each in known]
    )


def _network(control: Control, request: Request) -> Answer:
    ref = request.network_ref
    for each in control.networks.values():
        if ref in (each.id, each.name):
            return Answer.json(views.network_detail(each, control.containers))
    return Answer.error(404, f"network {ref} not found")


def _inspect(control: Control, request: Request) -> Answer:
    container = control.find(request.container_ref or "")
    return Answer.json(views.inspect(container, control.networks))


def _list(control: Control, request: Request) -> Answer:
    filters = Filters.parse(request.query.get("filters", ""), LIST_FILTERS)
    is_all = request.query.get("all", "").lower() in {"1", "true"}
    now_ns = control.clock.now_ns()
    listed = (
        _listed(control, container, now_ns)
        for container in control.containers_like(filters.wanted("id"))
        if is_all or filters.has("status") or container.is_listed
        if container.id not in control.unlisted
    )
    lines = [each.line for each in listed if filters.match_entry(each.entry)]
    return Answer(200, b"[" + b",".join(lines) + b"]\n")


def _listed(control: Control, container: ScriptedContainer, now_ns: int) -> Listed:
    """Return its list entry, made anew only where it changed: 10,000 of them are slow."""
    status = views.status_text(container, now_ns)
    networks = tuple(container.networks.items())
    key = (status, container.name, container.state, networks, control.lists_less)
    if container.listed is None or container.listed.key != key:
        entry = views.list_entry(container, control.networks, now_ns)
        if control.lists_less:
            entry = views.meagre_entry(entry)
        line = json.dumps(entry, separators=(",", ":")).encode()
        container.listed = Listed(key, entry, line)
    return container.listed


_ROUTES: dict[str, Callable[[Control, Request], Answer]] = {
    "/_ping": _ping,
    "/version": _version,
    "/info": _info,
    "/networks": _networks,
    "/networks/{id}": _network,
    "/containers/json": _list,
    "/containers/{id}/json": _inspect,
}
