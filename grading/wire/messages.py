"""Messages between the processes that grade: JSON behind its length."""

import json
import struct
from typing import Any, Protocol

from grading.wire.arrays import WireError

MAX_MESSAGE_BYTES = 128 * 2**20  # a network of about twenty million float32 weights
_LENGTH = struct.Struct(">Q")


class TooLargeError(WireError):
    """A message of ours that is larger than any may be; nothing of it was sent."""


class Stream(Protocol):
    """What a message is read from or written to: a file of bytes, or a channel."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""

    def write(self, data: bytes, /) -> int:
        """Take all bytes."""

    def flush(self) -> None:
        """Hold nothing back."""


def write_message(stream: Stream, message: Any) -> None:
    """Send one message.

    Raises:
        TooLargeError: The message is larger than MAX_MESSAGE_BYTES.
        OSError: The other side has gone.
    """
    body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(body) > MAX_MESSAGE_BYTES:
        raise TooLargeError(
            f"too large to hand over: {len(body) / 2**20:.0f} MiB of at most {MAX_MESSAGE_BYTES / 2**20:.0f} MiB"
        )
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def read_bytes(stream: Stream, most: int = MAX_MESSAGE_BYTES) -> bytes:
    """Receive one message as it is, to be parsed later.

    Args:
        stream: Where it comes from.
        most: The largest that is read.

    Raises:
        EOFError: The other side closed the pipe before a message began.
        WireError: The message is cut short or too large.
    """
    head = stream.read(_LENGTH.size)
    if not head:
        raise EOFError("the pipe was closed")
    if len(head) < _LENGTH.size:
        raise WireError("a message was cut short")
    (length,) = _LENGTH.unpack(head)
    if length > min(most, MAX_MESSAGE_BYTES):
        raise WireError(f"a message claims {length} bytes, of at most {min(most, MAX_MESSAGE_BYTES)}")
    body = stream.read(length)
    if len(body) < length:
        raise WireError("a message was cut short")
    return body


def parse(body: bytes) -> Any:
    """The content of a message.

    Raises:
        WireError: It is not JSON.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a message is not JSON ({type(error).__name__})") from None
