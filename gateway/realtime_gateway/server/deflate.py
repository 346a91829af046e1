"""permessage-deflate (RFC 7692): what is agreed on, and the compressor and decompressor of one connection.

A context that is taken over from message to message compresses better and costs memory for as long as the connection
lives (zconf.h), so it is granted while a budget lasts, and to nobody without one; otherwise both sides begin each
message anew and hold nothing between two. What a message may grow to when it is inflated is autobahn's to bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autobahn.websocket.compress_deflate import PerMessageDeflate

NAME = "permessage-deflate"
WINDOW_BITS = range(9, 16)  # zlib's deflate knows no window of 8 bits
MEMORY_LEVEL = 5
# zconf.h: what inflate needs beside its window.
_INFLATE_BYTES = 7 * 1024


@dataclass(frozen=True)
class Settings:
    """How the server compresses.

    Attributes:
        enabled: whether what clients offer is taken up.
        window_bits: the largest window of either side, 9 to 15.
        context_bytes: what contexts that are taken over may take of this process; 0: none are.
        least_bytes: messages shorter than this are sent as they are.
    """

    enabled: bool = False
    window_bits: int = 12
    context_bytes: int = 0
    least_bytes: int = 256


@dataclass(frozen=True)
class Offer:
    """One offer of a client (section 7.1); bits are None where it says nothing of them."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None


@dataclass(frozen=True)
class Agreement:
    """What both sides keep to.

    Attributes:
        answer: the value of Sec-WebSocket-Extensions.
    """

    answer: str
    server_takeover: bool
    client_takeover: bool
    server_window_bits: int
    client_window_bits: int

    @property
    def held_bytes(self) -> int:
        """What the contexts that are kept take for as long as the connection lives (zconf.h)."""
        deflate = (1 << (self.server_window_bits + 2)) + (1 << (MEMORY_LEVEL + 9))
        inflate = (1 << self.client_window_bits) + _INFLATE_BYTES
        return deflate * self.server_takeover + inflate * self.client_takeover


def offers(values: Iterable[bytes]) -> Iterator[Offer]:
    """Read the offers that can be taken up, in the client's order; others are passed over (section 7.1)."""
    for value in values:
        for extension in value.decode("latin1").split(","):
            name, *parameters = (part.strip() for part in extension.split(";"))
            if name.lower() == NAME:
                offer = _offer(parameters)
                if offer is not None:
                    yield offer


def _offer(parameters: list[str]) -> Offer | None:
    flags: set[str] = set()
    bits: dict[str, int] = {}
    for parameter in parameters:
        name, has_value, text = parameter.partition("=")
        name, text = name.strip().lower(), text.strip().strip('"')
        if name in flags or name in bits:
            return None
        if name in ("server_no_context_takeover", "client_no_context_takeover") and not has_value:
            flags.add(name)
        elif name == "client_max_window_bits" and not has_value:
            bits[name] = WINDOW_BITS[-1]
        elif name in ("server_max_window_bits", "client_max_window_bits") and text in map(str, WINDOW_BITS):
            bits[name] = int(text)
        else:
            return None
    return Offer(
        server_no_context_takeover="server_no_context_takeover" in flags,
        client_no_context_takeover="client_no_context_takeover" in flags,
        server_max_window_bits=bits.get("server_max_window_bits"),
        client_max_window_bits=bits.get("client_max_window_bits"),
    )


def agree(offer: Offer, settings: Settings, *, takeover: bool) -> Agreement:
    """Say what is answered to an offer.

    Args:
        offer: one that can be taken up.
        settings: the server's.
        takeover: whether contexts may be kept between messages.
    """
    words = [NAME]
    server_takeover = takeover and not offer.server_no_context_takeover
    client_takeover = takeover and not offer.client_no_context_takeover
    words += [] if server_takeover else ["server_no_context_takeover"]
    words += [] if client_takeover else ["client_no_context_takeover"]
    server_bits = min(settings.window_bits, offer.server_max_window_bits or settings.window_bits)
    client_bits = WINDOW_BITS[-1]
    if offer.server_max_window_bits is not None:
        words.append(f"server_max_window_bits={server_bits}")
    if offer.client_max_window_bits is not None:
        client_bits = min(settings.window_bits, offer.client_max_window_bits)
        words.append(f"client_max_window_bits={client_bits}")
    return Agreement("; ".join(words), server_takeover, client_takeover, server_bits, client_bits)


class Deflate(PerMessageDeflate):
    """One connection's, with autobahn's bound on what is inflated, and nothing held that is not taken over."""

    def __init__(self, agreement: Agreement) -> None:
        super().__init__(
            True,
            not agreement.server_takeover,
            not agreement.client_takeover,
            agreement.server_window_bits,
            agreement.client_window_bits,
            MEMORY_LEVEL,
        )
        self.held_bytes = agreement.held_bytes

    def compressed(self, payload: bytes) -> bytes:
        """Return a whole message as it is sent (section 7.2.1)."""
        self.start_compress_message()
        data: bytes = self.compress_message_data(payload) + self.end_compress_message()
        if self.server_no_context_takeover:
            self._compressor = None
        return data

    def end_decompress_message(self) -> None:
        """The last frame of a message has come."""
        super().end_decompress_message()
        if self.client_no_context_takeover:
            self._decompressor = None


class Compression:
    """The server's side: agrees with each client, within one budget for all."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._held_bytes = 0

    def answer(self, values: Iterable[bytes]) -> tuple[Deflate, str] | None:
        """Take up the first offer that can be; None goes on without compression.

        Args:
            values: those of the client's Sec-WebSocket-Extensions headers.
        """
        offer = next(offers(values), None) if self.settings.enabled else None
        if offer is None:
            return None
        agreement = agree(offer, self.settings, takeover=True)
        if self._held_bytes + agreement.held_bytes > self.settings.context_bytes:
            agreement = agree(offer, self.settings, takeover=False)
        self._held_bytes += agreement.held_bytes
        return Deflate(agreement), agreement.answer

    def gone(self, deflate: Deflate) -> None:
        """A connection has ended; call it once for each."""
        self._held_bytes -= deflate.held_bytes
