"""The method's message types: from a .proto file, or from the server's reflection service."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from grpc_reflection.v1alpha import reflection_pb2

from proofload.errors import InputError, TargetError

REFLECTION_PATHS = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
"""The two differ in their package alone; the messages have the same shape."""

Exchange = Callable[[str, Sequence[bytes]], Awaitable[list[bytes]]]
"""Sends messages on a stream of the given path, and gives the answers. Raises TargetError, UnknownMethodError."""


class UnknownMethodError(Exception):
    """The server does not implement the method that was called."""


@dataclass(frozen=True, slots=True)
class Method:
    """One gRPC method: where it is called and what travels."""

    path: str
    request: type[Message]
    response: type[Message]
    streaming: bool
    """Both sides stream; False: unary both ways."""


async def load_method(request: Mapping[str, Any], exchange: Exchange) -> Method:
    """Reads the [request] table's `method` and `proto`. Raises InputError, TargetError."""
    text = str(request.get("method") or "")
    service, _, name = text.strip("/").rpartition("/")
    if not service or not name:
        raise InputError(
            f"request.method {text!r} names no gRPC method",
            remedy='write [request] method = "package.Service/Method" in the target file',
        )
    source = str(request.get("proto") or "reflection")
    if request.get("descriptors"):
        held = descriptor_pb2.FileDescriptorSet.FromString(base64.b64decode(request["descriptors"]))
        files = list(held.file)
    elif source == "reflection":
        files = await _reflected(service, exchange)
    else:
        files = await asyncio.to_thread(_compiled, Path(source))  # other requests may be due meanwhile
    pool = _pool(files)
    return _method(pool, service, name, source, stream=request.get("stream"))


def descriptors(proto: Path) -> str:
    """A .proto file and all that it imports, compiled: what [request] holds as `descriptors` where the file itself is
    out of reach. Raises InputError."""
    return base64.b64encode(descriptor_pb2.FileDescriptorSet(file=_compiled(proto)).SerializeToString()).decode("ascii")


def _method(pool: descriptor_pool.DescriptorPool, service: str, name: str, source: str, *, stream: Any) -> Method:
    try:
        described = pool.FindServiceByName(service)
    except KeyError as exc:
        raise InputError(f"{source} describes no service {service!r}", remedy="check request.method") from exc
    found = described.methods_by_name.get(name)
    if found is None:
        known = ", ".join(sorted(described.methods_by_name))
        raise InputError(f"the service {service!r} has no method {name!r}", evidence=f"it has: {known}")
    if found.client_streaming != found.server_streaming:
        side = "client" if found.client_streaming else "server"
        raise InputError(
            f"{service}/{name} streams on the {side}'s side only",
            cause="a row is one request and one answer: unary methods and bidirectional streams have that",
            remedy="choose a unary or a bidirectional method",
        )
    if stream and not found.client_streaming:
        raise InputError(
            f"request.stream is set, but {service}/{name} is a unary method",
            remedy="leave request.stream out, or name a method that streams both ways",
        )
    return Method(
        path=f"/{service}/{name}",
        request=message_factory.GetMessageClass(found.input_type),
        response=message_factory.GetMessageClass(found.output_type),
        streaming=bool(found.client_streaming),
    )


def _pool(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> descriptor_pool.DescriptorPool:
    """All files in a pool of their own, so that two targets may disagree about a name."""
    known = {file.name: file for file in files}
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(name: str) -> None:
        if name in added or name not in known:
            return
        added.add(name)
        for dependency in known[name].dependency:
            add(dependency)
        pool.Add(known[name])

    try:
        for name in known:
            add(name)
    except TypeError as exc:
        raise InputError("the description of the service is not consistent", evidence=str(exc)) from exc
    return pool


def _compiled(proto: Path) -> list[descriptor_pb2.FileDescriptorProto]:
    if not proto.is_file():
        raise InputError(f"there is no file {proto}", remedy='request.proto is a .proto file or "reflection"')
    proto = proto.resolve()
    bundled = Path(grpc_tools.__file__).parent / "_proto"
    includes = [proto.parent, *list(proto.parent.parents)[:-1], bundled]
    with tempfile.TemporaryDirectory(prefix="proofload-proto-") as folder:
        out = Path(folder) / "descriptors"
        command = [sys.executable, "-m", "grpc_tools.protoc", "--include_imports", f"--descriptor_set_out={out}"]
        command += [f"--proto_path={include}" for include in includes]
        done = subprocess.run([*command, str(proto)], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0 or not out.is_file():
            raise InputError(
                f"{proto.name} does not compile",
                evidence=done.stderr[-2000:],
                remedy="imports are looked for in the file's folder and in the folders above it",
            )
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


async def _reflected(service: str, exchange: Exchange) -> list[descriptor_pb2.FileDescriptorProto]:
    """The file that defines the service and all that it imports."""
    for path in REFLECTION_PATHS:
        try:
            return await _reflected_by(path, service, exchange)
        except UnknownMethodError:
            continue
    raise TargetError(
        "the target does not offer gRPC reflection",
        evidence="neither grpc.reflection.v1 nor v1alpha is implemented there",
        remedy="switch reflection on in the server, or name the .proto file in request.proto",
    )


async def _reflected_by(path: str, service: str, exchange: Exchange) -> list[descriptor_pb2.FileDescriptorProto]:
    asked = reflection_pb2.ServerReflectionRequest
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    questions = [asked(file_containing_symbol=service)]
    while questions:
        answers = await exchange(path, [question.SerializeToString() for question in questions])
        for raw in answers:
            for file in _files(raw, service):
                files.setdefault(file.name, file)
        missing = {name for file in files.values() for name in file.dependency} - files.keys()
        questions = [asked(file_by_filename=name) for name in sorted(missing)]
        if len(files) > 10_000:
            raise TargetError(
                "the target's reflection describes files without end",
                evidence=f"{len(files):,} files so far, for {service!r}",
                remedy="name the .proto file instead: request.proto",
            )
    return list(files.values())


def _files(raw: bytes, service: str) -> list[descriptor_pb2.FileDescriptorProto]:
    try:
        answer = reflection_pb2.ServerReflectionResponse.FromString(raw)
        if answer.HasField("error_response"):
            raise InputError(
                f"the target's reflection does not describe {service!r}",
                evidence=f"{answer.error_response.error_code}: {answer.error_response.error_message}",
                remedy="check request.method",
            )
        serialized = answer.file_descriptor_response.file_descriptor_proto
        return [descriptor_pb2.FileDescriptorProto.FromString(one) for one in serialized]
    except DecodeError as exc:
        raise TargetError("the target's reflection answers with something else", evidence=str(exc)) from exc
