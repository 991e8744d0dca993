"""Inserts the requests of batches into ClickHouse's engine, in this process: `make bench-ingest CHDB=1`.

The file has the names of the columns, and after an empty line the rows of each batch. Each batch is one insert, as many times as there
are gateways, whose name is a column. The texts are made before the clock starts.
"""

import resource
import sys
import tempfile
import time

from chdb import session

# Columns with more different values than this are not dictionaries.
FEW = 1_000


def main():
    path, gateways = sys.argv[1], int(sys.argv[2])
    with open(path, encoding="utf-8") as file:
        names, *batches = [part.split("\n") for part in file.read().rstrip("\n").split("\n\n")]
    names = names[0].split("\t")
    columns = list(zip(*[row.split("\t") for batch in batches for row in batch]))
    types = [column_type(name, values) for name, values in zip(names, columns)]
    requests = sum(len(batch) for batch in batches) * gateways
    with tempfile.TemporaryDirectory() as directory:
        engine = session.Session(directory)
        engine.query("CREATE DATABASE bench ENGINE = Atomic")
        shape = ", ".join(f"`{name}` {kind}" for name, kind in zip(names, types))
        engine.query(
            f"CREATE TABLE bench.requests (gateway LowCardinality(String), {shape}) ENGINE = MergeTree "
            "ORDER BY (`http.route`, toStartOfMinute(fromUnixTimestamp64Nano(time)), time)"
        )
        inserts = [
            "INSERT INTO bench.requests FORMAT TabSeparated\n"
            + "\n".join(f"edge-{gateway}\t{row}" for row in batch)
            + "\n"
            for gateway in range(gateways)
            for batch in batches
        ]
        began, before, took = time.monotonic(), cpu(), []
        for insert in inserts:
            start = time.monotonic()
            engine.query(insert)
            took.append(time.monotonic() - start)
        spent, lasted = cpu() - before, time.monotonic() - began
        engine.query("OPTIMIZE TABLE bench.requests FINAL")
        merged = cpu() - before
        found = int(str(engine.query("SELECT count() FROM bench.requests", "CSV")).strip())
        if found != requests:
            sys.exit(f"{found} rows in place of {requests}")
        # The gateways send the same identifiers, of which a sorted table keeps one. Those of one gateway all differ.
        engine.query("CREATE TABLE bench.one AS bench.requests")
        for insert in inserts[: len(batches)]:
            engine.query(insert.replace("bench.requests", "bench.one", 1))
        engine.query("OPTIMIZE TABLE bench.one FINAL")
        parts = "FROM system.parts WHERE active AND database = 'bench' AND table = 'one'"
        bytes_on_disk = int(str(engine.query(f"SELECT sum(bytes_on_disk) {parts}", "CSV")).strip())
        engine.close()
    took.sort()
    print(
        f"| chdb, log as rows, one insert a batch ({spent * 1e6 / requests:.2f} µs until the last insert) "
        f"| {requests / lasted:.0f} | {merged * 1e6 / requests:.2f} µs | {bytes_on_disk * gateways / requests:.1f} B | – "
        f"| {took[len(took) // 2] * 1e3:.1f} ms | {took[int(len(took) * 0.99)] * 1e3:.1f} ms | 0 | 0 of {len(inserts)} |"
    )


def column_type(name, values):
    if name == "time":
        return "Int64 CODEC(DoubleDelta, ZSTD)"
    if all(value.lstrip("-").isdigit() and len(value) < 18 for value in values):
        return "Int64 CODEC(T64, ZSTD)"
    return "LowCardinality(String)" if len(set(values)) <= FEW else "String CODEC(ZSTD)"


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
