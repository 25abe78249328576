"""The settings and the Docker side: is the engine there, may we ask, does it know us?"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Iterator

from reconciler.core.membership import SERVICE_NAME
from reconciler.core.placement import is_attached_as
from reconciler.discovery.own import is_short_id
from reconciler.doctor.evidence import DockerReading, Evidence, SocketFile
from reconciler.doctor.finding import Code, Finding, found
from reconciler.errors import SwarmError, quoted


SETTINGS = "settings"
DOCKER = "docker"
_OLDEST_API = (1, 41)
"""Docker 20.10: the oldest that was tried."""
_TIMED_OUT = "timed out"


def of_settings(evidence: Evidence) -> Iterator[Finding]:
    """Say what the settings come to, and which of them cannot be used."""
    settings = evidence.settings
    if evidence.base_cfg_error:
        yield found(
            Code.BASE_CFG_UNREADABLE,
            "--base-cfg",
            evidence.base_cfg_error,
            "correct --base-cfg or RECONCILER_BASE_CFG; in a container, mount the file: "
            '`volumes: ["./haproxy.cfg:/etc/haproxy/base.cfg:ro"]`',
            section=SETTINGS,
        )
    if not evidence.knows_docker:
        return
    context = evidence.world.claims.context
    covered = "all projects"
    if context.projects is not None:
        covered = f"project {', '.join(sorted(context.projects))}"
    said = f"service names count in {covered}"
    yield found(Code.PROJECTS, "projects", said, section=SETTINGS)
    yield from _in_vain(evidence)
    lacks = settings.network is None or not settings.projects
    if evidence.own_id is not None and evidence.own is None and lacks:
        yield _own_container_unknown(evidence.own_id)


def _in_vain(evidence: Evidence) -> Iterator[Finding]:
    """Find settings that name what no running container has, and no HAProxy."""
    settings = evidence.settings
    containers = evidence.world.claims.containers.values()
    projects = {one.project for one in containers if one.project is not None}
    for name in sorted(set(settings.projects) - projects):
        yield found(
            Code.PROJECT_UNKNOWN,
            "--project",
            f"no running container is of project {quoted(name)}",
            f"{meant(name, projects)}correct --project: the service names of other "
            "projects do not count",
            section=SETTINGS,
        )
    wanted = settings.network
    attached = [(one, net) for one in containers for net in one.networks]
    if wanted and not any(is_attached_as(net, one, wanted) for one, net in attached):
        yield found(
            Code.NETWORK_UNKNOWN,
            "--network",
            f"no running container is on network {quoted(wanted)}",
            f"{meant(wanted, {net.network for _, net in attached})}correct --network: no "
            "container has an address there",
            section=SETTINGS,
        )
    yield from _ports_in_vain(evidence)


def _ports_in_vain(evidence: Evidence) -> Iterator[Finding]:
    prefix = evidence.settings.slot_prefix
    if any(one.world.observed is None for one in evidence.proxies):
        return
    filled = {name for one in evidence.proxies for name in one.slots(prefix)}
    for name in sorted(evidence.settings.backend_ports.keys() - filled):
        yield found(
            Code.BACKEND_PORT_UNKNOWN,
            "--backend-port",
            f"no HAProxy has a backend {quoted(name)} with slots",
            f"{meant(name, filled)}correct --backend-port, or take it away",
            section=SETTINGS,
        )


def meant(name: str, names: Iterable[str]) -> str:
    """Return the question for the closest name, whatever its case; '' where none is."""
    folded = {one.casefold(): one for one in sorted(names)}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"did you mean {folded[near[0]]}? " if near else ""


def _own_container_unknown(own_id: str) -> Finding:
    how = "seems to run" if is_short_id(own_id) else "runs"
    return found(
        Code.OWN_CONTAINER_UNKNOWN,
        "own container",
        f"this {how} in container {own_id[:12]}, which the engine does not list: the "
        "networks shared with it and its Compose project are not known",
        "give `--network NAME` and `--project NAME`, or let --docker be the engine that "
        "runs this container",
        section=SETTINGS,
    )


def of_docker(evidence: Evidence) -> Iterator[Finding]:
    """Say whether the engine can be reached, and what it would not answer."""
    docker = evidence.docker
    seen = docker.socket
    if seen is not None and seen.error is not None:
        yield _not_opened(docker, seen)
        return
    if seen is not None and seen.is_mounted:
        yield socket_mounted(DOCKER, seen)
    error = evidence.world.engine_error
    if isinstance(error, SwarmError):
        yield from _answers(evidence)
        if "/info" not in docker.refusals:
            yield _swarm_error(error)
    elif "/version" in docker.refusals or error is not None:
        yield from _no_answer(evidence)
    else:
        yield from _answers(evidence)
        yield from _swarm(evidence)
    for request, said in docker.refusals.items():
        if request != "/version" or _is_http_refusal(said):
            yield _refused(docker, request, said)


def _answers(evidence: Evidence) -> Iterator[Finding]:
    docker = evidence.docker
    count = len(evidence.world.claims.containers)
    said = f"engine {docker.version}, API {docker.api_version}"
    if _number(docker.api_version) < _OLDEST_API:
        wanted = ".".join(map(str, _OLDEST_API))
        mend = f"upgrade the engine: API {wanted} (Docker 20.10) is the oldest tried"
        yield found(Code.DOCKER_OLD, DOCKER, said, mend, section=DOCKER)
    else:
        text = f"{said}, {count} running containers"
        yield found(Code.DOCKER, DOCKER, text, section=DOCKER)
    if not docker.refusals:
        text = "all that the daemon asks is answered, events too"
        yield found(Code.DOCKER_REQUESTS, "requests", text, section=DOCKER)


def _swarm(evidence: Evidence) -> Iterator[Finding]:
    """Say what is seen of a swarm, if the engine is in one."""
    role = evidence.world.role
    containers = evidence.world.claims.containers.values()
    tasks = [one for one in containers if one.is_task]
    if role is not None and role.is_manager:
        services = {one.labels.get(SERVICE_NAME) for one in tasks}
        said = f"manager: {len(tasks)} tasks of {len(services)} services"
        yield found(Code.SWARM, "swarm", said, section=DOCKER)
    elif role is not None and role.state == "active":
        yield found(
            Code.SWARM_WORKER,
            "swarm",
            "this engine is a worker of a swarm: tasks on other nodes are not seen",
            "ask a manager by --docker to fill slots with all tasks, and insist on it by "
            "`--swarm on`; or say `--swarm off`",
            section=DOCKER,
        )


def _swarm_error(error: SwarmError) -> Finding:
    return found(
        Code.SWARM_ERROR,
        "swarm",
        str(error),
        "`docker node ls` has to answer there; in a socket proxy allow `GET /tasks`, "
        "`GET /services` and `GET /nodes`",
        section=DOCKER,
    )


def _no_answer(evidence: Evidence) -> Iterator[Finding]:
    """The list of containers was not to be had: why?"""
    docker = evidence.docker
    error = evidence.world.engine_error
    said = docker.refusals.get("/version") or str(error or "")
    where = f"docker at {docker.name}"
    if _TIMED_OUT in said:
        yield found(
            Code.DOCKER_SILENT,
            DOCKER,
            f"{where} takes the connection and does not answer in time",
            "is the engine stuck, or the proxy before it? `docker info` there should answer",
            section=DOCKER,
        )
    elif "refused" in said.lower() and docker.socket is None:
        yield found(
            Code.DOCKER_DOWN,
            DOCKER,
            f"nobody listens at {docker.name}",
            "start the engine or its proxy, or correct --docker",
            section=DOCKER,
        )
    elif "/version" not in docker.refusals:
        yield _refused(docker, "/containers/json", said)
    elif not _is_http_refusal(said):
        yield found(
            Code.DOCKER_ERROR,
            DOCKER,
            f"{where} cannot be read: {quoted(said)}",
            "correct --docker or DOCKER_HOST: it must lead to a Docker engine",
            section=DOCKER,
        )


def _is_http_refusal(said: str) -> bool:
    """Whether docker-py tells of a status, and of no broken conversation."""
    return " Client Error" in said or " Server Error" in said


def _refused(docker: DockerReading, request: str, said: str) -> Finding:
    return found(
        Code.DOCKER_REFUSES,
        f"GET {request}",
        f"docker at {docker.name} does not answer it: {quoted(said)}",
        f"allow `GET {request}` in the socket proxy; the whole allow-list is in "
        "docs/operations.md",
        section=DOCKER,
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit()) or (0,)


def socket_mounted(section: str, seen: SocketFile) -> Finding:
    """Say that a socket's file was mounted instead of its folder."""
    folder = seen.path.rpartition("/")[0] or "/"
    return found(
        Code.SOCKET_MOUNTED,
        seen.path,
        "the socket itself is mounted: after a restart of who made it, this goes on being "
        "the old one, where nobody listens",
        f"mount its folder instead of the file, as `HOST_FOLDER:{folder}` under `volumes:`",
        section=section,
    )


def _not_opened(docker: DockerReading, seen: SocketFile) -> Finding:
    if seen.error in {errno.EACCES, errno.EPERM}:
        return _not_permitted(docker, seen)
    if seen.error == errno.ECONNREFUSED:
        return found(
            Code.DOCKER_DOWN,
            DOCKER,
            f"nobody listens at {docker.name}: the engine is down, or this is the socket "
            "it had before it was restarted",
            "start the engine; mount the folder of its socket, not the socket",
            section=DOCKER,
        )
    if seen.error == errno.ENOENT:
        return found(
            Code.DOCKER_ABSENT,
            DOCKER,
            f"docker at {docker.name} cannot be reached: No such file",
            "mount the folder of the engine's socket and name it: `volumes: "
            '["/var/run:/run/docker-host:ro"]` and '
            "`DOCKER_HOST: unix:///run/docker-host/docker.sock`; or correct --docker",
            section=DOCKER,
        )
    return found(
        Code.DOCKER_ERROR,
        DOCKER,
        f"docker at {docker.name} cannot be opened: "
        f"{errno.errorcode.get(seen.error or 0, 'unknown error')}",
        "correct --docker or DOCKER_HOST: it must be the socket of a Docker engine",
        section=DOCKER,
    )


def _not_permitted(docker: DockerReading, seen: SocketFile) -> Finding:
    mend = f"run as a user of the group that owns it: `stat -c %g {seen.path}` tells it"
    if seen.group is not None:
        mend = (
            f'run in the group that owns it: `group_add: ["{seen.group}"]` in this '
            f"service of the Compose file, or `docker run --group-add {seen.group}`"
        )
    return found(
        Code.DOCKER_PERMISSION,
        DOCKER,
        f"docker at {docker.name} cannot be opened: Permission denied",
        mend,
        section=DOCKER,
    )
