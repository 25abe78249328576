"""A JSON array that arrives in pieces, element by element.

A list of 10,000 containers is 9 MB of text. Parsed at once it holds Python's lock for 100 ms,
in whatever thread, and takes as much memory again as everything the daemon knows. Here only
the elements that were asked for are parsed. No I/O.
"""

from __future__ import annotations

import codecs
import json
from typing import Any


_decode = json.JSONDecoder().raw_decode
_SPACE = " \t\r\n"


class JsonElements:
    """The elements of one array. They have to be objects: half of one is never taken for it."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._has_begun = self._has_ended = False

    def feed(self, received: bytes) -> None:
        """Take in a piece of text. Raises ValueError for what is no UTF-8."""
        self._text = self._text[self._at :] + self._decoder.decode(received)
        self._at = 0

    def take(self, most: int) -> list[Any]:
        """Return the next elements that are complete, at most so many.

        Raises ValueError for what is no array.
        """
        found: list[Any] = []
        while len(found) < most and self._go_to_element():
            try:
                element, self._at = _decode(self._text, self._at)
            except json.JSONDecodeError:
                break  # its end has not come yet; `end` knows if it never does
            found.append(element)
        return found

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
