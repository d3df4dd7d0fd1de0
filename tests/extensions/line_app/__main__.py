"""A serving option in one folder: adds up `values`, over lines of JSON. Needs nothing but Python."""

from __future__ import annotations

import argparse
import asyncio
import json


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        total = sum(json.loads(line)["values"])
        writer.write(f"OK {json.dumps({'prediction': total})}\n".encode())
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(main(parser.parse_args().port))
