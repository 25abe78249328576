"""HAProxies that come and go while the daemon runs: found, filled at once, and let go."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import container
from tests.fakes.loop import looping
from tests.fakes.proxy import FakeProxy

from reconciler import worker
from reconciler.core.model import Attachment, Container
from reconciler.web.health import readiness


SOURCE = "docker://edge"
ONE, TWO = "tcp://10.0.9.1:9999", "tcp://10.0.9.2:9999"
WEB = container(1)


def edge(number: int) -> Container:
    """Return the container of a HAProxy."""
    address = Attachment(network="runtime", ipv4=f"10.0.9.{number}")
    one = container(100 + number, networks=[address])
    return dataclasses.replace(one, labels={"edge": ""})


async def test_a_found_one_is_filled_from_empty_at_once() -> None:
    """Its first pass sees and fills everything, and it has its place in every view."""
    proxy = FakeProxy(name=ONE)
    async with looping(containers=(WEB,), sources=[SOURCE], found=[proxy]) as loop:
        assert readiness(loop.controller)[0] is False
        loop.start(edge(1))
        await loop.reporter.until_passes(1)
        assert [one.name for one in loop.controller.workers] == [ONE]
        is_ready, detail = readiness(loop.controller)
        text = loop.metrics.exposition().decode()
        kinds = [one.kind for one in loop.journal.entries()]

    assert loop.reporter.found == [(ONE, edge(1).name)]
    assert (is_ready, detail["problems"]) == (True, [])
    assert list(proxy.homes()) == [WEB.networks[0].ipv4]
    assert f'reconciler_haproxy_up{{haproxy="{ONE}"}} 1.0' in text
    assert "haproxy_found" in kinds


async def test_none_at_all_is_told_and_not_ready() -> None:
    """A source that finds nothing is no reason to end, but nobody may rely on us."""
    proxy = FakeProxy(name=ONE)
    async with looping(sources=[SOURCE], found=[proxy]) as loop:
        await loop.idle()
        is_ready, detail = readiness(loop.controller)

        told = list(loop.reporter.missing)
        loop.controller.listed()
        loop.start(edge(1))
        loop.gone(edge(1))
        missing = loop.metrics.exposition().decode()

    assert is_ready is False
    assert detail["problems"] == [f"no haproxy found by {SOURCE}"]
    assert told == detail["problems"]
    assert loop.reporter.missing == told * 2
    assert "reconciler_haproxies_missing 1.0" in missing


async def test_one_that_has_gone_leaves_nothing_behind() -> None:
    """No worker, no series, no row; the other is as it was, and nothing was taken out."""
    proxies = [FakeProxy(name=ONE), FakeProxy(name=TWO)]
    async with looping(containers=(WEB,), sources=[SOURCE], found=proxies) as loop:
        loop.start(edge(1), edge(2))
        await loop.reporter.until_passes(2)
        numbers = [one.number for one in loop.controller.workers]
        loop.gone(edge(1))
        await loop.reporter.until(lambda: loop.reporter.gone == [ONE], "it has gone")
        assert [one.name for one in loop.controller.workers] == [TWO]
        text = loop.metrics.exposition().decode()
        kinds = [one.kind for one in loop.journal.entries()]
        loop.start(edge(1))
        await loop.reporter.until_passes(3)
        back = [one.number for one in loop.controller.workers]

    assert ONE not in text
    assert TWO in text
    assert "haproxy_gone" in kinds
    assert all(proxy.homes() for proxy in proxies)
    assert numbers == [0, 1]
    assert back == [1, 2]


async def test_one_that_starts_is_tried_in_silence() -> None:
    """Its socket answers a moment after its container was started: that is no trouble."""
    proxy = FakeProxy(name=ONE)
    proxy.is_dead = True
    async with looping(containers=(WEB,), sources=[SOURCE], found=[proxy]) as loop:
        loop.start(edge(1))
        await proxy.until(lambda: len(proxy.observed) >= 3)
        assert loop.reporter.passes == []
        proxy.is_dead = False
        await loop.reporter.until_passes(1)

    assert loop.reporter.passes[0].error is None
    assert list(proxy.homes()) == [WEB.networks[0].ipv4]


async def test_one_that_is_about_to_end_is_kept_until_it_has() -> None:
    """It may have sessions yet; that it does not answer any more is no trouble."""
    proxies = [FakeProxy(name=ONE), FakeProxy(name=TWO)]
    async with looping(sources=[SOURCE], found=proxies) as loop:
        loop.start(edge(1), edge(2))
        await loop.reporter.until_passes(2)
        leaving = dataclasses.replace(edge(1), is_stopping=True)
        loop.start(leaving)
        loop.start(WEB)
        await loop.reporter.until(lambda: bool(proxies[0].homes()), "it is filled")
        passes = len(loop.reporter.passes)
        proxies[0].is_dead = True
        observed = len(proxies[0].observed)
        proxies[0].end_session()
        await proxies[0].until(lambda: len(proxies[0].observed) > observed)
        is_ready, detail = readiness(loop.controller)
        loop.gone(edge(1))
        await loop.reporter.until(lambda: loop.reporter.gone == [ONE], "it has gone")

    assert is_ready
    assert [one["leaving"] for one in detail["haproxy"]] == [True, False]
    assert [one for one in loop.reporter.passes[passes:] if one.error] == []


async def test_one_that_outlives_its_stop_is_as_any_other() -> None:
    """From then on its troubles count again."""
    proxy = FakeProxy(name=ONE)
    async with looping(sources=[SOURCE], found=[proxy]) as loop:
        loop.start(dataclasses.replace(edge(1), is_stopping=True))
        await loop.reporter.until_passes(1)
        assert readiness(loop.controller)[0] is False
        loop.start(edge(1))
        assert readiness(loop.controller)[0] is True


async def test_a_socket_that_is_given_is_no_other_for_being_found() -> None:
    """One worker, which stays when the container goes."""
    proxy = FakeProxy(name=ONE)
    async with looping(proxy, sources=[SOURCE]) as loop:
        loop.start(edge(1))
        await loop.reporter.until_passes(1)
        loop.gone(edge(1))
        await loop.idle()
        assert [one.name for one in loop.controller.workers] == [ONE]
    assert (loop.reporter.found, loop.reporter.gone) == ([], [])


async def test_one_that_comes_back_elsewhere_is_another() -> None:
    """The worker of the former address goes, and the new one fills what it finds."""
    proxies = [FakeProxy(name=ONE), FakeProxy(name=TWO)]
    async with looping(containers=(WEB,), sources=[SOURCE], found=proxies) as loop:
        loop.start(edge(1))
        await loop.reporter.until_passes(1)
        moved = dataclasses.replace(edge(2), id=edge(1).id)
        loop.start(moved)
        await loop.reporter.until(lambda: bool(proxies[1].homes()), "it is filled")
        assert [one.name for one in loop.controller.workers] == [TWO]
    assert loop.reporter.gone == [ONE]


async def test_reports_wait_until_all_that_come_are_filled() -> None:
    """A hundred lines about the first take as long as filling the second."""
    proxies = [FakeProxy(name=ONE), FakeProxy(name=TWO)]
    proxies[1].is_dead = True
    async with looping(containers=(WEB,), sources=[SOURCE], found=proxies) as loop:
        loop.start(edge(1), edge(2))
        await proxies[1].until(lambda: len(proxies[1].observed) >= 3)
        assert proxies[0].homes()
        assert loop.reporter.passes == []
        proxies[1].is_dead = False
        await loop.reporter.until_passes(2)

    assert {one.worker.name for one in loop.reporter.passes[:2]} == {ONE, TWO}
    assert proxies[1].homes()


async def test_reports_wait_for_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that never answers keeps nobody from being heard of."""
    monkeypatch.setattr(worker, "NEW_SECONDS", 0.05)
    proxies = [FakeProxy(name=ONE), FakeProxy(name=TWO)]
    proxies[1].is_dead = True
    async with looping(containers=(WEB,), sources=[SOURCE], found=proxies) as loop:
        loop.start(edge(1), edge(2))
        await loop.reporter.until_passes(1)

    assert [one.worker.name for one in loop.reporter.passes] == [ONE]


async def test_a_container_that_is_replaced_at_its_address_keeps_its_worker() -> None:
    """It is another process at the same place, and the worker sees that by itself."""
    proxy = FakeProxy(name=ONE)
    async with looping(containers=(WEB,), sources=[SOURCE], found=[proxy]) as loop:
        loop.start(edge(1))
        await loop.reporter.until_passes(1)
        successor = dataclasses.replace(edge(1), id="f" * 64)
        changes = {edge(1).id: None, successor.id: successor}
        loop.controller.changed(changes, at=1.0, is_resync=False)
        await loop.idle()

    assert loop.reporter.gone == []
    assert len(loop.reporter.found) == 1
