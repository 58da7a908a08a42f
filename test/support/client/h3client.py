"""An HTTP/3 client on aioquic that does what it is told, also what no client should: heads out of order, frames where none belong, silence.

Driven by JSON lines: one order a line on stdin, one event a line on stdout. `./aioquic.ts` is the other end.

Orders (every one may carry `id`, answered by {"event":"done","id":…,…}):
  connect  host port servername ca? idle? from? algorithms? ticket? chain? key?   -> serial resumed   request  headers body? fin?     -> stream
  data     stream body fin                        frame    stream type hex fin?   raw     stream hex fin?
  uni      hex                    -> stream       bidi     hex fin?    -> stream
  reset    stream code                            stop     stream code
  pause    (no more flow-control credit)          resume
  rotate   (another connection ID of the edge's)  close   ticket   -> ticket
Events: interim, headers, trailers, data {bytes, text?}, end, reset {code}, stop {code}, goaway {last}, closed {code, reason}, settings
"""

import asyncio
import base64
import json
import pickle
import socket
import sys
from hashlib import sha256

from aioquic import tls
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.h3.connection import H3_ALPN, FrameType, H3Connection, HeadersState, encode_frame
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, StopSendingReceived, StreamReset


class From(socket.socket):
    """Leaves from the address that a test wants, where aioquic takes any."""

    address = None

    def bind(self, _):
        super().bind((self.address, 0, 0, 0))


def say(event, **what):
    sys.stdout.write(json.dumps({"event": event, **what}) + "\n")
    sys.stdout.flush()


def integer(value, bits, first=0):
    """A QPACK integer with a prefix of so many bits (RFC 7541 section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field_section(headers):
    """Every field as a literal with a literal name, so that anything can be said (RFC 9204 section 4.5.6)."""
    block = b"\0\0"
    for name, value in headers:
        name, value = name.encode("latin-1"), value.encode("latin-1")
        block += integer(len(name), 3, 0x20) + name + integer(len(value), 7) + value
    return block


class Http(H3Connection):
    """Tells of GOAWAY, which aioquic reads over, and takes interim responses, which it takes for the final one."""

    def _handle_request_or_push_frame(self, frame_type, frame_data, stream, stream_ended):
        events = super()._handle_request_or_push_frame(frame_type, frame_data, stream, stream_ended)
        for one in events:
            if isinstance(one, HeadersReceived) and is_interim(one.headers):
                stream.headers_recv_state = HeadersState.INITIAL
        return events

    def _handle_control_frame(self, frame_type, frame_data):
        if frame_type == FrameType.GOAWAY:
            say("goaway", last=Buffer(data=frame_data).pull_uint_var())
        super()._handle_control_frame(frame_type, frame_data)


def verify_only(names):
    """The client can verify these signatures and no others."""
    make = tls.Context.__init__

    def made(context, *given, **named):
        make(context, *given, **named)
        context._signature_algorithms = [tls.SignatureAlgorithm[name] for name in names]

    tls.Context.__init__ = made


def is_interim(headers):
    return any(name == b":status" and value.startswith(b"1") for name, value in headers)


class Client(QuicConnectionProtocol):
    """Turns what arrives into events."""

    http = None
    seen = None
    early = ()
    tickets = ()

    def start(self):
        self.http = Http(self._quic)
        self.seen = {}
        # What came while the handshake was being reported: without the first bytes of a stream the rest says nothing.
        early, self.early = self.early, ()
        for event in early:
            self.quic_event_received(event)

    def quic_event_received(self, event):
        if self.http is None and not isinstance(event, ConnectionTerminated):
            self.early = (*self.early, event)
            return
        if isinstance(event, ConnectionTerminated):
            say("closed", code=event.error_code, reason=event.reason_phrase, frame=event.frame_type)
        elif isinstance(event, StreamReset):
            say("reset", stream=event.stream_id, code=event.error_code)
        elif isinstance(event, StopSendingReceived):
            say("stop", stream=event.stream_id, code=event.error_code)
        if self.http is None:
            return
        for one in self.http.handle_event(event):
            stream = self.seen.setdefault(getattr(one, "stream_id", -1), {"heads": 0, "bytes": 0, "hash": sha256()})
            if isinstance(one, HeadersReceived):
                kind = "interim" if is_interim(one.headers) else "headers" if stream["heads"] == 0 else "trailers"
                stream["heads"] += kind != "interim"
                say(kind, stream=one.stream_id, headers=[[n.decode("latin-1"), v.decode("latin-1")] for n, v in one.headers])
            elif isinstance(one, DataReceived):
                stream["bytes"] += len(one.data)
                stream["hash"].update(one.data)
                if len(one.data) <= 4096:
                    say("data", stream=one.stream_id, bytes=len(one.data), text=one.data.decode("latin-1"))
                elif not one.stream_ended:
                    say("data", stream=one.stream_id, bytes=len(one.data))
            if getattr(one, "stream_ended", False):
                say("end", stream=one.stream_id, bytes=stream["bytes"], sha256=stream["hash"].hexdigest())


class Thrifty:
    """Grants no further flow-control credit while paused: a client that does not read."""

    def __init__(self, quic):
        self.paused = False
        limits, stream_limits = quic._write_connection_limits, quic._write_stream_limits
        quic._write_connection_limits = lambda **k: None if self.paused else limits(**k)
        quic._write_stream_limits = lambda **k: None if self.paused else stream_limits(**k)


class Session:
    """Carries out orders on one connection."""

    def __init__(self, client):
        self.client, self.quic, self.http = client, client._quic, client.http
        self.thrift = Thrifty(self.quic)

    def request(self, headers, body="", fin=True, **_):
        stream = self.quic.get_next_available_stream_id()
        frames = encode_frame(FrameType.HEADERS, field_section(headers))
        if body:
            frames += encode_frame(FrameType.DATA, body.encode("latin-1"))
        self.quic.send_stream_data(stream, frames, fin)
        return {"stream": stream}

    def trailers(self, stream, headers, **_):
        self.quic.send_stream_data(stream, encode_frame(FrameType.HEADERS, field_section(headers)), True)

    def data(self, stream, body, fin=False, **_):
        self.quic.send_stream_data(stream, encode_frame(FrameType.DATA, body.encode("latin-1")) if body else b"", fin)

    def zeros(self, stream, count, fin=False, **_):
        self.quic.send_stream_data(stream, encode_frame(FrameType.DATA, bytes(count)), fin)

    def frame(self, stream, type, hex, fin=False, **_):
        self.quic.send_stream_data(stream, encode_frame(type, bytes.fromhex(hex)), fin)

    def raw(self, stream, hex, fin=False, **_):
        self.quic.send_stream_data(stream, bytes.fromhex(hex), fin)

    def control(self, type, hex, **_):
        self.quic.send_stream_data(self.http._local_control_stream_id, encode_frame(type, bytes.fromhex(hex)))

    def endcontrol(self, **_):
        self.quic.send_stream_data(self.http._local_control_stream_id, b"", True)

    def uni(self, hex, fin=False, **_):
        stream = self.quic.get_next_available_stream_id(is_unidirectional=True)
        self.quic.send_stream_data(stream, bytes.fromhex(hex), fin)
        return {"stream": stream}

    def unitype(self, type, **_):
        return self.uni(encode_uint_var(type).hex())

    def bidi(self, hex, fin=False, **_):
        stream = self.quic.get_next_available_stream_id()
        self.quic.send_stream_data(stream, bytes.fromhex(hex), fin)
        return {"stream": stream}

    def reset(self, stream, code, **_):
        self.quic.reset_stream(stream, code)

    def stop(self, stream, code, **_):
        self.quic.stop_stream(stream, code)

    def pause(self, **_):
        self.thrift.paused = True

    def resume(self, **_):
        self.thrift.paused = False

    def rotate(self, **_):
        before = self.quic._peer_cid.cid
        self.quic.change_connection_id()
        return {"changed": self.quic._peer_cid.cid != before}

    def ticket(self, **_):
        return {"ticket": base64.b64encode(pickle.dumps(self.client.tickets[0])).decode()}

    def close(self, **_):
        self.client.close()


async def orders():
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def main():
    source = orders()
    first = await anext(source)
    configuration = QuicConfiguration(is_client=True, alpn_protocols=first.get("alpn", H3_ALPN), server_name=first["servername"])
    if "from" in first:
        From.address = first["from"]
        socket.socket = From
    if "algorithms" in first:
        verify_only(first["algorithms"])
    configuration.idle_timeout = first.get("idle", 30)
    configuration.max_stream_data = first.get("window", configuration.max_stream_data)
    configuration.max_data = first.get("connectionWindow", configuration.max_data)
    if "ca" in first:
        configuration.load_verify_locations(first["ca"])
    else:
        configuration.verify_mode = 0
    if "chain" in first:
        configuration.load_cert_chain(first["chain"], first["key"])
    if "ticket" in first:
        configuration.session_ticket = pickle.loads(base64.b64decode(first["ticket"]))
    tickets = []
    try:
        async with connect(
            first["host"], first["port"], configuration=configuration, create_protocol=Client, session_ticket_handler=tickets.append
        ) as client:
            client.tickets = tickets
            client.start()
            session = Session(client)
            client.transmit()
            shaken = client._quic.tls
            serial = format(shaken._peer_certificate.serial_number, "X") if shaken._peer_certificate else ""
            say("done", id=first["id"], alpn=shaken.alpn_negotiated, version=client._quic._version, serial=serial, resumed=shaken.session_resumed)
            async for order in source:
                try:
                    answer = getattr(session, order.pop("do"))(**order) or {}
                    client.transmit()
                    say("done", id=order["id"], **answer)
                except Exception as error:  # noqa: BLE001 -- told to the test, which decides
                    say("done", id=order["id"], error=repr(error))
    except (ConnectionError, asyncio.TimeoutError, OSError) as error:
        say("done", id=first["id"], error=repr(error))


asyncio.run(main())
