"""A runtime socket by TLS, as compose/swarm/runtime-tls.cfg has it: who is let in, and who is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.certificates import Certificates, certificates
from tests.support.engine import ROOT
from tests.support.haproxy_process import BASE_CFG, HaproxyProcess, haproxy_process

from reconciler.core.model import AdminState, ServerRef, SetAddress, SetState
from reconciler.errors import ConfigError, ConnectError, RuntimeSocketError
from reconciler.haproxy.proxy import RuntimeProxy
from reconciler.haproxy.tls import Tls


RUNTIME_TLS = ROOT / "compose" / "swarm" / "runtime-tls.cfg"
SLOT = ServerRef("web", "slot1")


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What both sides have."""
    return certificates(tmp_path_factory.mktemp("ours") / "certificates")


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The same of another authority."""
    return certificates(tmp_path_factory.mktemp("others") / "certificates")


@pytest.fixture
def secured(
    version: str, ours: Certificates, tmp_path: Path
) -> Iterator[HaproxyProcess]:
    """A HAProxy with the shipped configuration and the shipped socket by TLS."""
    served = tmp_path / "runtime.pem"
    shutil.copy(ours.haproxy, served)
    text = RUNTIME_TLS.read_text()
    for name, value in (
        ("HAPROXY_RUNTIME_BIND-:9999", "127.0.0.1:${HAPROXY_RUNTIME_PORT}"),
        ("HAPROXY_RUNTIME_CRT-/run/secrets/runtime.pem", str(served)),
        ("HAPROXY_RUNTIME_CA-/run/secrets/runtime-ca.pem", str(ours.ca)),
    ):
        assert f"${{{name}}}" in text
        text = text.replace(f"${{{name}}}", value)
    config = BASE_CFG.read_text() + "\n" + text
    with haproxy_process(version, config=config) as process:
        yield process


def tls(ours: Certificates, **changes: object) -> Tls:
    """Return what lets us in, but for the changes."""
    arguments = {
        "ca": ours.ca,
        "certificate": ours.reconciler,
        "name": "haproxy",
        **changes,
    }
    return Tls(**arguments)  # type: ignore[arg-type] # by name


def proxy(process: HaproxyProcess, given: Tls) -> RuntimeProxy:
    """Return a proxy for its socket by TLS."""
    url = f"tls://127.0.0.1:{process.runtime_port}"
    return RuntimeProxy(url, timeout_seconds=3, tls=given)


async def refusal(process: HaproxyProcess, given: Tls) -> str:
    """Return what is said where we are not let in, or do not let ourselves in."""
    one = proxy(process, given)
    try:
        with pytest.raises(ConnectError) as error:
            await one.process()
    finally:
        await one.aclose()
    return str(error.value)


async def test_a_slot_is_written_and_read_over_tls(
    secured: HaproxyProcess, ours: Certificates
) -> None:
    """All that a pass does works as over a unix socket."""
    one = proxy(secured, tls(ours))
    try:
        before = await one.observe()
        refused = await one.apply(
            [
                SetAddress(SLOT, "127.0.0.9", 8000),
                SetState(SLOT, AdminState.READY),
            ]
        )
        after = await one.observe()
    finally:
        await one.aclose()

    assert before.backends["web"]["slot1"].is_free
    assert refused == [None, None]
    assert after.backends["web"]["slot1"].address == "127.0.0.9"


async def test_who_has_no_certificate_gets_no_word_in(
    secured: HaproxyProcess, ours: Certificates
) -> None:
    """TLS 1.3 tells so after the handshake, with the first answer that does not come."""
    said = await refusal(secured, tls(ours, certificate=None))
    assert "--haproxy-cert" in said


async def test_who_has_another_authoritys_gets_no_word_in(
    secured: HaproxyProcess, ours: Certificates, others: Certificates
) -> None:
    """Signed by somebody is not enough."""
    said = await refusal(secured, tls(ours, certificate=others.reconciler))
    assert "it does not trust our certificate" in said


async def test_a_haproxy_that_is_not_ours_is_told_nothing(
    secured: HaproxyProcess, ours: Certificates, others: Certificates
) -> None:
    """Neither one of another authority, nor one by another name."""
    said = await refusal(secured, tls(ours, ca=others.ca))
    assert "its certificate is not to be trusted" in said
    for name in ("", "other"):
        said = await refusal(secured, tls(ours, name=name))
        assert "--haproxy-name" in said


async def test_a_socket_without_tls_is_told_nothing(
    secured: HaproxyProcess, ours: Certificates
) -> None:
    """What answers in plain text is no HAProxy of ours."""
    one = RuntimeProxy(
        f"tls://127.0.0.1:{secured.http_port}", timeout_seconds=3, tls=tls(ours)
    )
    try:
        with pytest.raises(RuntimeSocketError, match="speaks no TLS"):
            await one.process()
    finally:
        await one.aclose()


async def test_a_plain_client_gets_no_answer(secured: HaproxyProcess) -> None:
    """TCP without TLS is no way in."""
    one = RuntimeProxy(f"tcp://127.0.0.1:{secured.runtime_port}", timeout_seconds=1)
    try:
        with pytest.raises(RuntimeSocketError):
            await one.process()
    finally:
        await one.aclose()


async def test_files_are_read_for_each_connection(
    secured: HaproxyProcess, ours: Certificates, others: Certificates, tmp_path: Path
) -> None:
    """A renewed certificate counts with the next connection; a broken one is named."""
    mine = tmp_path / "mine.pem"
    shutil.copy(others.reconciler, mine)
    one = proxy(secured, tls(ours, certificate=mine))
    try:
        with pytest.raises(ConnectError):
            await one.process()
        mine.write_text("broken")
        with pytest.raises(ConnectError, match=r"haproxy-cert .*mine\.pem"):
            await one.process()
        shutil.copy(ours.reconciler, mine)
        assert (await one.process()).pid > 0
    finally:
        await one.aclose()


def test_files_that_cannot_be_used_are_named(
    ours: Certificates, tmp_path: Path
) -> None:
    """With the option, the path, the cause and the mend."""
    absent = tmp_path / "absent.pem"
    with pytest.raises(ConfigError, match=r"haproxy-ca .*absent\.pem.* no such file"):
        Tls(ca=absent).context()
    with pytest.raises(ConfigError, match=r"haproxy-cert .* PEM file"):
        Tls(ca=ours.ca, certificate=ours.ca).context()
