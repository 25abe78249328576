"""base.cfg: each ``server-template`` line of slots, with its ``default-server`` lines."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.base_cfg import Template
from reconciler.core.cfg_sections import Spot
from reconciler.core.model import canonical_address, is_placeholder
from reconciler.doctor.evidence import Evidence
from reconciler.doctor.finding import Code, Finding, Pitfall, found


BASE_CFG = "base.cfg"
PLACEHOLDER = "127.255.255.1"
_UNSET = frozenset({"0.0.0.0", "*", "::"})  # noqa: S104 - compared, never bound
_HAS_INIT_STATE = (3, 1, 0)


def of_template(evidence: Evidence, template: Template) -> Iterator[Finding]:
    """Say what is wrong with one line of slots, or that nothing is."""
    pitfalls = [*_address(template), *_port(evidence, template)]
    if not template.has_unknown_options:
        pitfalls = [*_state(template), *pitfalls, *_check(evidence, template)]
    for pitfall in pitfalls:
        yield at(template.spot, pitfall)
    if not pitfalls:
        port = f"default port {template.port}" if template.port else "no default port"
        said = f"backend {template.backend}, {port}"
        yield found(Code.TEMPLATE, str(template.spot), said, section=BASE_CFG)


def at(spot: Spot, pitfall: Pitfall) -> Finding:
    """Return a pitfall as a finding about the line it is in."""
    code, text, mend = pitfall
    return found(code, str(spot), text, mend, section=BASE_CFG)


def _state(template: Template) -> Iterator[Pitfall]:
    backend = template.backend
    if "disabled" not in template.options:
        yield Pitfall(
            Code.TEMPLATE_ENABLED,
            f"slots of backend {backend} start enabled, at a placeholder",
            "write `disabled` at the end of the line: a free slot must get no traffic",
        )
    if template.options.get("weight") == "0":
        yield Pitfall(
            Code.TEMPLATE_WEIGHT,
            f"`weight 0`: a container of backend {backend} that has no label "
            "haproxy.weight never gets a request",
            "write `weight 1`, or leave `weight` out",
        )
    if "cookie" in template.options:
        yield Pitfall(
            Code.TEMPLATE_COOKIE,
            f"`cookie {template.options['cookie']}` is the same for all slots of backend "
            f"{backend}: clients that carry it all go to one of them",
            "remove `cookie` from the line, and write `cookie NAME insert indirect nocache "
            "dynamic` and `dynamic-cookie-key SECRET` in the backend",
        )


def _address(template: Template) -> Iterator[Pitfall]:
    write = (
        f"write `{PLACEHOLDER}:{template.port or 'PORT'}` as the address of the line"
    )
    if template.has_unknown_place:
        return
    if not template.is_inet:
        yield Pitfall(
            Code.TEMPLATE_FAMILY,
            f"{template.address} is no address of IP: HAProxy refuses these slots any other",
            write,
        )
    elif template.address in _UNSET:
        yield Pitfall(
            Code.TEMPLATE_UNSET_ADDRESS,
            f"{template.address} is no placeholder: HAProxy dials the address that the "
            "client dialled, which is HAProxy itself",
            write,
        )
    elif "resolvers" in template.options and not _is_literal(template.address):
        yield Pitfall(
            Code.TEMPLATE_RESOLVERS,
            f"`resolvers {template.options['resolvers']}` looks {template.address} up again "
            "and again, and changes the addresses of these slots",
            f"remove `resolvers`, and {write}",
        )
    elif not _starts_at_placeholder(template):
        yield _wrong_address(template, write)


def _wrong_address(template: Template, write: str) -> Pitfall:
    if _is_literal(template.address):
        return Pitfall(
            Code.TEMPLATE_ADDRESS,
            f"{template.address} is no placeholder: after every start of HAProxy all slots "
            "count as taken until the daemon has freed each",
            f"{write}: any of 127.255.255.0/24 means free",
        )
    return Pitfall(
        Code.TEMPLATE_HOST_NAME,
        f"{template.address} is a host name: where it resolves, all slots count as taken "
        "until the daemon has freed each; where it does not, HAProxy refuses them any address",
        f"{write}; or, to use a state file, add `init-addr last,{PLACEHOLDER}` and a name "
        "that nobody resolves",
    )


def _starts_at_placeholder(template: Template) -> bool:
    """Whether slots start at a placeholder: as the address, or as what comes last."""
    if _is_literal(template.address):
        return is_placeholder(template.address)
    last = template.options.get("init-addr", "").split(",")[-1]
    return _is_literal(last) and is_placeholder(last) and last not in _UNSET


def _is_literal(address: str) -> bool:
    try:
        canonical_address(address)
    except ValueError:
        return False
    return True


def _port(evidence: Evidence, template: Template) -> Iterator[Pitfall]:
    backend = template.backend
    is_given = backend in evidence.settings.backend_ports
    if template.port is None and not template.has_unknown_port and not is_given:
        yield Pitfall(
            Code.TEMPLATE_PORT,
            f"no port: a container that tells none has no place in backend {backend}",
            f"write the port that the containers serve on, `{template.address}:PORT`, or "
            f"give `--backend-port {backend}=PORT`",
        )


def _check(evidence: Evidence, template: Template) -> Iterator[Pitfall]:
    backend, options = template.backend, template.options
    if "addr" in options:
        yield Pitfall(
            Code.TEMPLATE_CHECK_ADDR,
            f"`addr {options['addr']}`: every slot of backend {backend} is checked there, "
            "whatever container is in it",
            "remove `addr`: the check then goes to the slot's own address",
        )
    if "port" in options:
        yield Pitfall(
            Code.TEMPLATE_CHECK_PORT,
            f"`port {options['port']}`: every container of backend {backend} must answer "
            "the check on that one port",
            "remove `port`, unless they all do: the check then goes to the slot's own port",
        )
    if "check" not in options:
        yield Pitfall(
            Code.TEMPLATE_UNCHECKED,
            f"no `check`: HAProxy does not notice when a container of backend {backend} "
            "hangs, and nothing does while the daemon is stopped",
            "add `check inter 500ms rise 1 fall 2` to the line or to `default-server`",
        )
    release = next(iter(evidence.releases), (0, 0, 0))
    if (
        release >= _HAS_INIT_STATE
        and "check" in options
        and "init-state" not in options
    ):
        yield Pitfall(
            Code.TEMPLATE_INIT_STATE,
            "no `init-state`: only the daemon holds a newcomer back until its first check "
            "has passed",
            "add `init-state down` to the line or to `default-server`",
        )
