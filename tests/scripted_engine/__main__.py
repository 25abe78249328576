"""``python -m tests.scripted_engine --socket PATH --count N``: the engine as a program.

It obeys the lines of its standard input, and ends with it: ``run NAME [LABEL=VALUE …]``,
``stop|kill|die|pause|unpause|restart|remove NAME``, ``health NAME STATUS``,
``rename NAME NEW``, ``connect|disconnect NAME NETWORK``, ``jump-clock SECONDS``,
``end-streams``, ``restart-engine``, ``list``.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections.abc import Callable
from typing import Any

from tests.scripted_engine.control import NoSuchContainerError
from tests.scripted_engine.engine import ScriptedEngine


def verbs(engine: ScriptedEngine) -> dict[str, Callable[..., Any]]:
    """Return what each command calls, with the words after it."""
    named = (
        "stop kill die pause unpause restart remove health rename connect disconnect"
    )
    return {
        **{name: getattr(engine, name) for name in named.split()},
        "run": lambda name, *labels: engine.run(
            name, labels=dict(each.split("=", 1) for each in labels)
        ),
        "jump-clock": lambda seconds: engine.jump_clock(float(seconds)),
        "end-streams": engine.events.end,
        "list": lambda: show(engine),
    }


def show(engine: ScriptedEngine) -> None:
    """Print every container: id, name, state, address."""
    for each in engine.containers:
        say(f"{each.id[:12]} {each.name} {each.state} {each.address}")


def say(text: str) -> None:
    """Print one line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def obey(engine: ScriptedEngine, line: str) -> None:
    """Carry out one line; say what is wrong with it, and go on."""
    word, *arguments = shlex.split(line) or [""]
    verb = verbs(engine).get(word)
    try:
        if word == "restart-engine":
            await engine.restart_engine()
        elif verb is not None:
            verb(*arguments)
        elif word:
            say(f"unknown command {word!r}; known are {', '.join(verbs(engine))}")
    except NoSuchContainerError as error:
        say(f"no such container: {error}")
    except (TypeError, ValueError, LookupError) as error:
        say(f"{word}: {error}")


async def main(socket: str, count: int, prefix: str) -> None:
    """Serve until standard input ends."""
    async with ScriptedEngine(socket) as engine:
        labels = {
            "com.docker.compose.service": prefix,
            "com.docker.compose.container-number": "1",
        }
        engine.run_many(count, prefix=prefix, labels=labels)
        say(f"serving {count} containers on {engine.url}")
        while line := await asyncio.to_thread(sys.stdin.readline):
            await obey(engine, line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True, help="where to listen")
    parser.add_argument("--count", type=int, default=0, help="containers to begin with")
    parser.add_argument("--prefix", default="web", help="their name, and their service")
    asyncio.run(main(**vars(parser.parse_args())))
