"""Messages over a socket: what the wire writes, with a time limit that no trickle of bytes can stretch."""

import socket
import time
from typing import Any

from grading.wire.messages import MAX_MESSAGE_BYTES, parse, read_bytes, write_message


class Channel:
    """One end of a conversation.

    Args:
        connection: A stream socket; closed with the channel.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._deadline: float | None = None

    def send(self, message: Any, timeout_s: float | None = None) -> None:
        """Send one message.

        Raises:
            TooLargeError: It is larger than any message may be.
            OSError: The other end is gone, or does not read in time.
        """
        self.socket.settimeout(timeout_s)
        write_message(self, message)

    def receive(self, timeout_s: float | None = None) -> Any:
        """Receive one message.

        Raises:
            EOFError: The other end closed.
            WireError: It is not a message.
            OSError: The other end is gone; TimeoutError if it takes too long.
        """
        return parse(self.receive_bytes(timeout_s))

    def receive_bytes(self, timeout_s: float | None = None, most: int = MAX_MESSAGE_BYTES) -> bytes:
        """Receive one message of at most so many bytes, not parsed yet; raises what receive() does."""
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return read_bytes(self, most)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def read(self, size: int) -> bytes:
        """Exactly as many bytes, or fewer where the other end closed; never one that belongs to the next message."""
        parts, left = [], size
        while left:
            if self._deadline is not None:
                remaining = self._deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError("no answer in time")
                self.socket.settimeout(remaining)
            part = self.socket.recv(min(left, 2**20))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def write(self, data: bytes) -> int:
        """Send all bytes."""
        self.socket.sendall(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""
