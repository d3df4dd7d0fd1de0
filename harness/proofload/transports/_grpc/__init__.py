"""The parts of the gRPC transports.

target.py      what a TransportSpec says to a gRPC client: address, metadata, patience
schema.py      the method's message types: from a .proto file or from the server's reflection
messages.py    JSON to protobuf bytes and back
statuses.py    gRPC status codes, and what a sink is told of each

frames.py      HTTP/2 frames: numbers, layouts, builders
headers.py     header blocks: what we send (no compression state), what peers send (any)
sending.py     the sending half of a connection: prebuilt requests, the windows the peer grants
connection.py  one HTTP/2 connection: reads the peer's frames, routes them to streams
pool.py        jobs wait here for a connection with a free stream; connections open as needed
calls.py       unary calls: one answer, one ending, one transparent retry
streams.py     bidirectional streams: one message per row, answers matched in order
exchange.py    a few messages there and back: what asking a server's reflection needs

aio_errors.py  for `grpc-aio`: did the peer say it, or gRPC's own library?
aio_streams.py for `grpc-aio`: bidirectional streams
"""
