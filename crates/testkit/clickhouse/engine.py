"""ClickHouse's engine in this process, by the package `chdb-core`. Several connections run at once, each with its own
settings and temporary tables."""

import contextlib
import json
import os
import re

from chdb import _chdb

SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
CODE = re.compile(r"Code: (\d+)\. ")
VERSION = re.compile(r" \(version [^()]*\)")
NAME_AT_END = re.compile(r"\(([A-Z][A-Z0-9_]*)\)$")


class Refused(Exception):
    """An exception as a server words it."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, code: int, name: str, message: str):
        return cls(code, f"Code: {code}. DB::Exception: {message} ({name})")


class Engine:
    """The engine on one directory, which no other process may have open."""

    def __init__(self, directory: str, config: str | None = None):
        directory += f"?config-file={config}" if config else ""
        self.directory = directory
        # The engine ends with its last connection.
        self.keeper = Connection(directory)
        answer = self.keeper.query(b"SELECT version(), timezone()", "TabSeparatedRaw", {}).data
        self.version, self.timezone = answer.decode().split()
        setting = b"SELECT value FROM system.settings WHERE name = 'enable_http_compression'"
        self.compresses = self.keeper.query(setting, "TabSeparatedRaw", {}).data.strip() == b"1"

    def connect(self) -> "Connection":
        return Connection(self.directory)

    def close(self):
        self.keeper.close()


class Connection:
    def __init__(self, directory: str):
        self.chdb = _chdb.connect(directory)

    def close(self):
        self.chdb.close()

    def use(self, database: str):
        self.query(b"USE " + quoted(database, "`"), "Null", {})

    def set(self, settings: dict[str, str]):
        for name in settings:
            if not SETTING.fullmatch(name):
                raise Refused.of(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'.")
        changes = [name.encode() + b" = " + quoted(value, "'") for name, value in settings.items()]
        if changes:
            self.query(b"SET " + b", ".join(changes), "Null", {})

    @contextlib.contextmanager
    def settings_of_one_statement(self, database: str | None, settings: dict[str, str]):
        """What a request sets, and what the connection had before when the request is over."""
        names = b", ".join(quoted(name, "'") for name in settings) or b"''"
        old = b"SELECT currentDatabase(), mapFromArrays(groupArray(name), groupArray(value)) FROM system.settings WHERE name IN ("
        before, values = json.loads(self.query(old + names + b")", "JSONCompactEachRow", {}).data)
        try:
            if database:
                self.use(database)
            self.set(settings)
            yield
        finally:
            self.set(values)
            self.use(before)

    def query(self, text: bytes, name: str, parameters: dict[str, str]) -> "Answer":
        """Runs a statement. Data inside it must be text; `insert` takes any."""
        try:
            return Answer(self.chdb.query(text, name, params=parameters))
        except RuntimeError as error:
            raise refused(error) from None

    def insert(self, head: bytes, settings: bytes, name: str, data, parameters: dict[str, str]) -> "Answer":
        """Inserts the data of a binary file. The engine reads it by its descriptor, so that the insert takes the way of a
        client's. `send_insert` of chdb would take pieces, but drops an exception of the table (26.9)."""
        data.flush()
        file = f" FROM INFILE '/proc/self/fd/{data.fileno()}' ".encode()
        return self.query(head + file + settings + b" FORMAT " + name.encode(), "Null", parameters)


class Answer:
    def __init__(self, result):
        self.data = result.bytes() or b""
        self.summary = {
            "read_rows": result.storage_rows_read(),
            "read_bytes": result.storage_bytes_read(),
            "written_rows": result.rows_written(),
            "written_bytes": result.bytes_written(),
            "total_rows_to_read": result.storage_rows_read(),
            "result_rows": result.rows_read(),
            "result_bytes": result.bytes_read(),
            "elapsed_ns": int(result.elapsed() * 1e9),
        }


def body():
    """A file in memory for the data of one insert."""
    return os.fdopen(os.memfd_create("insert"), "w+b")


def quoted(text: str, mark: str) -> bytes:
    escaped = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    return f"{mark}{escaped}{mark}".encode()


def refused(error: RuntimeError) -> Refused:
    text = str(error)
    code = CODE.search(text)
    # A version is added to the answer once.
    text = VERSION.sub("", text).strip()
    if not code:
        return Refused.of(1001, "STD_EXCEPTION", text)
    return Refused(int(code[1]), text)
