import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from realtime_gateway.server.frames import BINARY, TEXT, encode_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 100_000])
@pytest.mark.parametrize(("opcode", "expected"), [(TEXT, Opcode.TEXT), (BINARY, Opcode.BINARY)])
def test_an_independent_parser_reads_each_frame(size: int, opcode: int, expected: Opcode):
    reader = StreamReader()
    reader.feed_data(encode_frame(opcode, b"x" * size))
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    frame = parsed.value.value
    assert (frame.opcode, frame.data, frame.fin) == (expected, b"x" * size, True)
