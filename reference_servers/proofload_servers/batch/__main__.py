"""Scores a file. The output appears under its name only when it is complete."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from proofload_servers.serving import Settings, StartupError, add_flag
from proofload_servers.serving.model import computation
from proofload_servers.serving.service import check
from proofload_servers.serving.session import open_session
from proofload_servers.serving.settings import DEVICES

from .columns import reader_of
from .scoring import score
from .tables import CsvWriter, ParquetWriter, Table, Writer, format_of

ALL_SCORED, SOME_REJECTED, CANNOT_SCORE = 0, 1, 2
CHUNK = {"image": 16}
USUAL_CHUNK = 1024
REJECTS = ("row", "id", "reason")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m proofload_servers.batch", description="Scores a CSV or Parquet file."
    )
    add_flag(parser, "--model", default=None, help="name of a built model, or a folder with model.json")
    parser.add_argument("--input", type=Path, required=True, help="FILE.csv or FILE.parquet")
    parser.add_argument("--output", type=Path, required=True, help="FILE.csv or FILE.parquet")
    parser.add_argument("--rejects", type=Path, help="rows that could not be scored (default OUTPUT.rejects.csv)")
    parser.add_argument("--chunk", type=int, default=0, help="rows computed together (default by kind of model)")
    add_flag(parser, "--fixtures", default="", help="folder of built models (default ./fixtures/build)")
    add_flag(parser, "--device", default="cpu", choices=DEVICES, help="where the model runs")
    add_flag(parser, "--threads", kind=int, default=1, help="intra-op threads of the session")
    add_flag(parser, "--trt-cache", default="", help="folder that keeps built TensorRT engines")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    try:
        scored, rejected = run(options)
    except (StartupError, OSError) as exc:
        sys.stderr.write(f"error: {exc}\n")
        return CANNOT_SCORE
    sys.stderr.write(f"{scored} rows scored, {rejected} rejected\n")
    return SOME_REJECTED if rejected else ALL_SCORED


def run(options: argparse.Namespace) -> tuple[int, int]:
    """(rows scored, rows rejected). Raises StartupError for everything that is not a matter of single rows."""
    settings = Settings(
        model=options.model,
        fixtures=options.fixtures,
        device=options.device,
        threads=max(1, options.threads),
        trt_cache=options.trt_cache,
    )
    card, kind = check(settings)
    table = Table(options.input)
    read = reader_of(card, table.columns)
    chunk = options.chunk if options.chunk > 0 else CHUNK.get(card.kind, USUAL_CHUNK)
    card.check_files()
    session = open_session(
        card.model_file,
        device=settings.device,
        threads=settings.threads,
        max_batch=chunk,
        input_name=card.input.get("name"),
        output_name=card.output.get("name"),
        trt_cache=settings.trt_cache,
    )
    compute = computation(kind, session)
    rejects = options.rejects or options.output.with_name(options.output.name + ".rejects.csv")
    partial = {path: path.with_name(path.name + ".partial") for path in (options.output, rejects)}
    output = _writer(partial[options.output], format_of(options.output), card.kind)
    refused = CsvWriter(partial[rejects], REJECTS)
    done = scored = 0
    try:
        for rows in table.chunks(chunk):
            result = score(rows, done + 1, read=read, kind=kind, compute=compute, card=card)
            output.write(result.scored)
            refused.write(result.rejected)
            done += len(rows)
            scored += len(result.scored)
        output.close()
        refused.close()
    except BaseException:
        for written in partial.values():
            written.unlink(missing_ok=True)
        raise
    for path, written in partial.items():
        written.replace(path)
    return scored, done - scored


def _writer(path: Path, suffix: str, kind: str) -> Writer:
    prediction = [("class", pa.int64()), ("score", pa.float64())] if kind == "image" else [("prediction", pa.float64())]
    fields = [("row", pa.int64()), ("id", pa.string()), *prediction, ("model", pa.string()), ("version", pa.string())]
    if suffix == ".csv":
        return CsvWriter(path, [name for name, _ in fields])
    return ParquetWriter(path, pa.schema(fields))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
