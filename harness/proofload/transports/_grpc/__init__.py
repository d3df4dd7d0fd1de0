"""The parts of the gRPC transports.

frames.py      HTTP/2 frames: numbers, layouts, builders
headers.py     header blocks: what we send (no compression state), what peers send (any)
connection.py  one HTTP/2 connection: parses, keeps both flow-control windows, routes to calls
pool.py        rows wait here for a connection with a free stream; connections open as needed
calls.py       one unary call: its answer, its ending, its one transparent retry
streams.py     bidirectional streams: one message per row, answers matched in order
statuses.py    gRPC status codes, and what a sink is told of each
messages.py    JSON to protobuf bytes and back
schema.py      the method's message types: from a .proto file or from the server's reflection
"""
