"""The engine's JSON, made from the model. Shapes recorded from engine 20.10 (API 1.41)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.scripted_engine.model import Addresses, Network, ScriptedContainer, digest


API_VERSION = "1.41"
ENGINE_VERSION = "20.10.24-scripted"
ENGINE_NAME = "scripted"
NEVER = "0001-01-01T00:00:00Z"

_SECOND_NS = 1_000_000_000
_HEALTH_SUFFIXES: Mapping[str | None, str] = {
    None: "",
    "starting": " (health: starting)",
    "healthy": " (healthy)",
    "unhealthy": " (unhealthy)",
}


def iso_time(time_ns: int) -> str:
    """Spell a time as the engine does: RFC 3339 with nanoseconds; 0 is the year one."""
    if not time_ns:
        return NEVER
    seconds, rest = divmod(time_ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def human_duration(seconds: float) -> str:
    """Spell a duration as ``docker ps`` does (go-units, HumanDuration)."""
    minutes, hours = int(seconds // 60), int(seconds / 3600 + 0.5)
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    return f"{hours // 24 // 7} weeks"


def status_text(container: ScriptedContainer, now_ns: int) -> str:
    """Return ``Status`` of a list entry. A paused container shows no health."""
    up = human_duration((now_ns - container.started_ns) / _SECOND_NS)
    gone = human_duration((now_ns - container.finished_ns) / _SECOND_NS)
    texts = {
        "created": "Created",
        "running": f"Up {up}{_HEALTH_SUFFIXES[container.health]}",
        "paused": f"Up {up} (Paused)",
        "restarting": f"Restarting ({container.exit_code}) {gone} ago",
        "exited": f"Exited ({container.exit_code}) {gone} ago",
        "dead": "Dead",
    }
    return texts[container.state]


def network_entry(
    container: ScriptedContainer, network: Network, addresses: Addresses
) -> dict[str, Any]:
    """Return one value of ``NetworkSettings.Networks``; bare where nothing runs."""
    shown = addresses if container.is_up else Addresses()
    endpoint = digest(container.id, network.id) if container.is_up else ""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "NetworkID": network.id,
        "EndpointID": endpoint,
        "Gateway": "127.10.255.254" if shown.ipv4 else "",
        "IPAddress": shown.ipv4,
        "IPPrefixLen": 15 if shown.ipv4 else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": shown.ipv6,
        "GlobalIPv6PrefixLen": 64 if shown.ipv6 else 0,
        "MacAddress": "",
        "DriverOpts": None,
    }


def networks_of(
    container: ScriptedContainer, networks: Mapping[str, Network]
) -> dict[str, Any]:
    """Return ``NetworkSettings.Networks`` of a container."""
    return {
        name: network_entry(container, networks[name], addresses)
        for name, addresses in container.networks.items()
    }


def network_detail(
    network: Network, containers: Collection[ScriptedContainer]
) -> dict[str, Any]:
    """Return ``GET /networks/{id}``: the network, and who has an address on it."""
    attached = {
        each.id: each.networks[network.name]
        for each in containers
        if network.name in each.networks and (each.is_up or each.is_attached)
    }
    return {
        "Name": network.name,
        "Id": network.id,
        "Driver": network.driver,
        "Containers": {
            id_: {
                "EndpointID": digest(id_, network.id),
                "IPv4Address": f"{found.ipv4}/15" if found.ipv4 else "",
                "IPv6Address": f"{found.ipv6}/64" if found.ipv6 else "",
            }
            for id_, found in attached.items()
        },
    }


def list_entry(
    container: ScriptedContainer, networks: Mapping[str, Network], now_ns: int
) -> dict[str, Any]:
    """Return one entry of ``GET /containers/json``."""
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image,
        "ImageID": f"sha256:{digest('image', container.image)}",
        "Command": "serve",
        "Created": container.created_ns // _SECOND_NS,
        "Ports": _listed_ports(container) if container.is_up else [],
        "Labels": dict(container.labels),
        "State": container.state,
        "Status": status_text(container, now_ns),
        "HostConfig": {"NetworkMode": container.network_mode},
        "NetworkSettings": {"Networks": networks_of(container, networks)},
        "Mounts": [],
    }


def meagre_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of a list as an engine words it that tells less there: Podman.

    No health, no exposed ports, no networks.
    """
    return {
        **entry,
        "Status": entry["Status"].partition(" (h")[0].partition(" (u")[0],
        "Ports": [],
        "NetworkSettings": None,
    }


def _listed_ports(container: ScriptedContainer) -> list[dict[str, Any]]:
    entries = []
    for name in container.ports:
        number, _, kind = name.partition("/")
        entry: dict[str, Any] = {"PrivatePort": int(number), "Type": kind}
        if name in container.published:
            public = container.published[name]
            entry = {"IP": "127.0.0.1", "PublicPort": public, **entry}
        entries.append(entry)
    return entries


def inspect(
    container: ScriptedContainer, networks: Mapping[str, Network]
) -> dict[str, Any]:
    """Return ``GET /containers/{id}/json``."""
    return {
        "Id": container.id,
        "Created": iso_time(container.created_ns),
        "Path": "serve",
        "Args": [],
        "State": _state(container),
        "Image": f"sha256:{digest('image', container.image)}",
        "Name": f"/{container.name}",
        "RestartCount": 0,
        "HostConfig": {
            "NetworkMode": container.network_mode,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        },
        "Mounts": [],
        "Config": _config(container),
        "NetworkSettings": {
            "Ports": _inspected_ports(container) if container.is_up else {},
            "IPAddress": "",
            "GlobalIPv6Address": "",
            "Networks": {
                name: {**entry, "Aliases": list(container.aliases) or None}
                for name, entry in networks_of(container, networks).items()
            },
        },
    }


def _state(container: ScriptedContainer) -> dict[str, Any]:
    state: dict[str, Any] = {
        "Status": container.state,
        "Running": container.state in {"running", "paused", "restarting"},
        "Paused": container.state == "paused",
        "Restarting": container.state == "restarting",
        "OOMKilled": False,
        "Dead": container.state == "dead",
        "Pid": 4242 if container.is_up else 0,
        "ExitCode": container.exit_code,
        "Error": "",
        "StartedAt": iso_time(container.started_ns),
        "FinishedAt": iso_time(container.finished_ns),
    }
    if container.health is not None:
        state["Health"] = {"Status": container.health, "FailingStreak": 0, "Log": []}
    return state


def _config(container: ScriptedContainer) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Hostname": container.id[:12],
        "Image": container.image,
        "Labels": dict(container.labels),
    }
    # The real engine leaves these out where the image or the user did not set them.
    if container.ports:
        config["ExposedPorts"] = {name: {} for name in container.ports}
    if container.health is not None:
        config["Healthcheck"] = {"Test": ["CMD", "true"]}
    if container.stop_signal:
        config["StopSignal"] = container.stop_signal
    if container.stop_timeout is not None:
        config["StopTimeout"] = container.stop_timeout
    return config


def _inspected_ports(container: ScriptedContainer) -> dict[str, Any]:
    return {
        name: (
            [{"HostIp": "127.0.0.1", "HostPort": str(container.published[name])}]
            if name in container.published
            else None
        )
        for name in container.ports
    }


def version() -> dict[str, Any]:
    """Return ``GET /version``."""
    return {
        "Platform": {"Name": ""},
        "Version": ENGINE_VERSION,
        "ApiVersion": API_VERSION,
        "MinAPIVersion": "1.12",
        "Os": "linux",
        "Arch": "amd64",
    }


def info(containers: Collection[ScriptedContainer], now_ns: int) -> dict[str, Any]:
    """Return ``GET /info``: who the engine is, its clock, and how much it runs."""
    return {
        "ID": "SCRI:PTED:ENGI:NE00",
        "Name": ENGINE_NAME,
        "Containers": len(containers),
        "ContainersRunning": sum(each.is_up for each in containers),
        "SystemTime": iso_time(now_ns),
        "ServerVersion": ENGINE_VERSION,
        "OperatingSystem": "scripted engine (no containers, only their descriptions)",
        "OSType": "linux",
        "Swarm": {
            "NodeID": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
        },
    }
