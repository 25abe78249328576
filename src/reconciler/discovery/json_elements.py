"""A JSON array that arrives in pieces, element by element.

A list of 10,000 containers is 9 MB of text. Parsed at once it holds Python's lock for 100 ms,
in whatever thread, and takes as much memory again as everything the daemon knows. Here only
the elements that were asked for are parsed. And of a list that is read again and again only
those whose text is another than last time are: an idle daemon does hardly anything else. No
I/O.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Generic, TypeVar


T = TypeVar("T")

_decode = json.JSONDecoder().raw_decode
_SPACE = " \t\r\n"
CONTAINERS_SEAM, SWARM_SEAM = '},{"Id":', '},{"ID":'
"""How Docker's lists go on after a container, and after anything of a swarm. A guess: what is
cut here and is no element was never remembered as one."""

CONTAINERS_AGE = re.compile(r'"Status":"Up ([^"(]*)')
"""How long a container is up, as a list words it: the one thing that changes by itself, every
second at first. Nobody reads it. Where it is a label that is called so, it is lost as well,
and no label of a container ever changes."""


class JsonElements(Generic[T]):
    """The elements of one array. They have to be objects: half of one is never taken for it.

    ``read`` makes a value of each. ``known`` are the values of another array, by their
    texts, as its ``remembered`` has them: they count for the same texts here. None where
    nobody wants to know what is remembered here. ``seam`` is how one element follows another.
    ``blur`` finds, as its first group, what of a text does not count.
    """

    def __init__(
        self,
        read: Callable[[Any], T],
        known: Mapping[bytes, T] | None = None,
        *,
        seam: str = CONTAINERS_SEAM,
        blur: re.Pattern[str] | None = None,
    ) -> None:
        self.read = read
        self._known = known
        self._between = seam
        self._blur = blur
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._has_begun = self._has_ended = False
        self.remembered: dict[bytes, T] = {}
        """What the elements so far came to, by a digest of their text."""

    def feed(self, received: bytes) -> None:
        """Take in a piece of text. Raises ValueError for what is no UTF-8."""
        self._text = self._text[self._at :] + self._decoder.decode(received)
        self._at = 0

    def take(self, most: int) -> list[T]:
        """Return the next elements that are complete, at most so many.

        Raises ValueError for what is no array, and what ``read`` raises.
        """
        found: list[T] = []
        while len(found) < most and self._go_to_element():
            seam, digest = self._seam()
            value = self._known.get(digest) if self._known and seam else None
            if value is None:
                try:
                    element, end = _decode(self._text, self._at)
                except json.JSONDecodeError:
                    break  # its end has not come yet; `end` knows if it never does
                value = self.read(element)
            else:
                end = seam
            if end == seam:
                self.remembered[digest] = value
            self._at = end
            found.append(value)
        return found

    def _seam(self) -> tuple[int, bytes]:
        """Return where this element may end, and a digest of it; 0 where nobody knows."""
        if (
            self._known is None
            or (end := self._text.find(self._between, self._at) + 1) == 0
        ):
            return 0, b""
        return end, self._digest(end)

    def _digest(self, end: int) -> bytes:
        text = self._text[self._at : end]
        if self._blur is not None and (found := self._blur.search(text)):
            text = text[: found.start(1)] + text[found.end(1) :]
        return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()

    def _go_to_element(self) -> bool:
        """Go to where the next element begins; return whether anything of it is there."""
        text, at = self._text, self._at
        while at < len(text):
            sign = text[at]
            if sign in _SPACE:
                at += 1
            elif self._has_ended:
                raise ValueError(f"no JSON array: {sign!r} stands behind its end")
            elif sign == "," and self._has_begun:
                at += 1
            elif not self._has_begun:
                if sign != "[":
                    raise ValueError(f"no JSON array: it begins with {sign!r}")
                self._has_begun = True
                at += 1
            elif sign == "]":
                self._has_ended = True
                at += 1
            elif sign != "{":
                raise ValueError(f"no JSON array of objects: {sign!r} is in it")
            else:
                self._at = at
                return True
        self._at = at
        return False

    def end(self) -> None:
        """There is no more text. Raises ValueError where the array is not complete."""
        if self._go_to_element() or not self._has_ended or self._decoder.getstate()[0]:
            raise ValueError("the JSON array is cut short")
