"""Stands in for a ClickHouse server in tests: its HTTP interface before the engine in this process (`engine.py`).

As on a server, because the engine is the server's: the statements, types, formats, settings, exceptions, deduplication by
`insert_deduplication_token`, parts, merges, TTL, and what a killed process leaves on disk.

Imitated here, by the source of the server and its documentation:
- authentication by headers, Basic or parameters; `database`, `default_format`, `param_x` and settings as parameters or in a
  form; `readonly` for GET, except in a session; sessions by `session_id`; one statement a request;
- the status of an exception, the headers `X-ClickHouse-*`, the codings of requests and answers.

Not as on a server:
- An answer is complete before its first byte is sent, as with `wait_end_of_query=1`. The fault `fail` makes an exception in an
  answer that has begun.
- The data of an insert is complete before the engine has its first row, so that a body that breaks off inserts nothing. A
  server has then inserted the blocks that were complete, of 1,048,449 rows or 256 MB.
- Checksums of compressed blocks are not compared, and `compress=1` (blocks in an answer) is refused.
- Asynchronous inserts are made at once.
- There is no Keeper and no cluster: `ReplicatedMergeTree` and `ON CLUSTER` are refused by the engine, and can only be parsed
  (`EXPLAIN AST`). Settings of quorums are accepted and have no effect.
- `query_id` is only given back: there is no `system.query_log`, and `KILL QUERY` does not find it. Roles, quotas and the users
  of `CREATE USER` do not exist: there is one user.
- External data, `input()` and predefined queries are missing.
"""

import argparse
import base64
import binascii
import contextlib
import http.server
import json
import os
import secrets
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.parse
import uuid

import blocks
import statement
from engine import Engine, Refused, body
from faults import Fault, Faults, die, die_soon

# Parameters that are neither settings nor parameters of the statement.
RESERVED = {
    "query", "database", "default_format", "user", "password", "quota_key", "query_id", "session_id", "session_timeout",
    "session_check", "close_session", "compress", "decompress", "stacktrace", "buffer_size", "wait_end_of_query",
    "client_protocol_version", "role",
}  # fmt: skip
# As `exceptionCodeToHTTPStatus` of the server has them; 500 for any other.
STATUS_BY_CODE = {
    400: {6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676},
    401: {194},
    403: {192, 193, 497, 512, 516},
    404: {46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511},
    408: {159},
    411: {381},
    413: {229},
    415: {779},
    501: {48},
    503: {76, 209, 439},
}  # fmt: skip
MEDIA_TYPES = {
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8",
    "json": "application/json; charset=UTF-8",
    "rowbinary": "application/octet-stream",
    "native": "application/octet-stream",
}
DEFAULT_SESSION_SECONDS, MOST_SESSION_SECONDS = 60, 3600
# Statements that the control address remembers.
MOST_STATEMENTS = 1000


class Gone(Exception):
    """The client closed the connection within a request."""


class Dropped(Exception):
    """The connection must be closed without an answer."""


class Server:
    """What the connections share."""

    def __init__(self, options):
        self.engine = Engine(options.data, options.config)
        self.user, self.password = options.user, options.password
        self.faults, self.sessions = Faults(), Sessions(self.engine)
        self.lock, self.in_flight, self.statements = threading.Lock(), 0, []

    def record(self, line: dict):
        with self.lock:
            self.statements.append(line)
            del self.statements[:-MOST_STATEMENTS]

    @contextlib.contextmanager
    def flight(self):
        with self.lock:
            self.in_flight += 1
        try:
            yield
        finally:
            with self.lock:
                self.in_flight -= 1


class Sessions:
    """Connections of the engine that requests name. Without a name, each request has one for itself."""

    def __init__(self, engine: Engine):
        self.engine, self.lock, self.named = engine, threading.Lock(), {}

    @contextlib.contextmanager
    def use(self, parameters: dict[str, str]):
        name = parameters.get("session_id")
        if name is None:
            with contextlib.closing(self.engine.connect()) as connection:
                yield connection
            return
        connection = self.take(name, parameters)
        try:
            yield connection
        finally:
            seconds = min(int(parameters.get("session_timeout", DEFAULT_SESSION_SECONDS)), MOST_SESSION_SECONDS)
            with self.lock:
                self.named[name] = (connection, time.monotonic() + seconds, False)
                if parameters.get("close_session") == "1":
                    del self.named[name]
                    connection.close()

    def take(self, name: str, parameters: dict[str, str]):
        with self.lock:
            now = time.monotonic()
            for old in [old for old, (_, until, busy) in self.named.items() if until < now and not busy]:
                self.named.pop(old)[0].close()
            connection, until, busy = self.named.get(name, (None, 0, False))
            if busy:
                raise Refused.of(373, "SESSION_IS_LOCKED", "Session is locked by a concurrent client.")
            if connection is None and parameters.get("session_check") == "1":
                raise Refused.of(372, "SESSION_NOT_FOUND", f"Session {name} not found.")
            connection = connection or self.engine.connect()
            self.named[name] = (connection, until, True)
            return connection


class Door:
    """A listener that can be shut and opened again, with a thread for each connection."""

    def __init__(self, host: str, port: int, serve, tls=None):
        self.address, self.serve, self.tls = (host, port), serve, tls
        self.lock, self.open_connections = threading.Lock(), set()
        self.open()

    def open(self):
        self.listener = socket.create_server(self.address, backlog=512)
        self.address = self.listener.getsockname()
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def shut(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.disconnect()

    def disconnect(self):
        with self.lock:
            for connection in self.open_connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.run, args=(connection, peer), daemon=True).start()

    def run(self, connection, peer):
        with self.lock:
            self.open_connections.add(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            speaking = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with speaking:
                self.serve(speaking, peer)
        except (OSError, Gone):
            # The client's affair, and often what a test is about.
            pass
        finally:
            with self.lock:
                self.open_connections.discard(connection)
            connection.close()


class Body:
    """The body of a request, in pieces as they arrive."""

    def __init__(self, headers, source):
        self.source = source
        self.chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self.has_length = "content-length" in headers
        self.left = int(headers.get("content-length", 0))
        self.ended = False

    def __iter__(self):
        while not self.ended:
            size = self.next_size()
            while size:
                piece = self.source.read(min(size, blocks.PIECE))
                if not piece:
                    raise Gone
                size -= len(piece)
                yield piece
            if self.chunked and not self.ended and self.source.readline() != b"\r\n":
                raise Gone

    def next_size(self) -> int:
        if not self.chunked:
            self.ended = True
            return self.left
        line = self.source.readline(1024).strip()
        if not line:
            raise Gone
        size = int(line.split(b";")[0], 16)
        if size == 0:
            self.ended = True
            while self.source.readline() not in (b"\r\n", b""):
                pass
        return size

    def drain(self):
        for _ in self:
            pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer_request()

    do_POST = do_HEAD = do_GET

    def answer_request(self):
        url = urllib.parse.urlsplit(self.path)
        self.body = Body(self.headers, self.rfile)
        self.coding, self.query_id = None, str(uuid.uuid4())
        given = urllib.parse.parse_qsl(url.query, keep_blank_values=True)
        if url.path in ("/ping", "/replicas_status") or (url.path == "/" and not given and self.command != "POST"):
            self.body.drain()
            return self.reply(200, {}, b"Ok.\n")
        if not (url.path == "/" or url.path.startswith("/?") or url.path == "/query"):
            self.body.drain()
            return self.reply(404, {}, f"There is no handle {self.path}\n\n".encode())
        parameters = {}
        for name, value in given:
            parameters.setdefault(name, value)
        line = {"method": self.command, "settings": {}}
        try:
            with self.server.flight():
                self.run(parameters, line)
        except Dropped:
            line["answer"] = "dropped"
            self.close_connection = True
        except (Refused, blocks.Damaged) as error:
            self.refuse(error, line)
        finally:
            self.server.record(line)

    def refuse(self, error, line: dict):
        self.body.drain()
        text = str(error) if isinstance(error, Refused) else str(Refused.of(error.code, "ERROR", str(error)))
        line["code"] = error.code
        text += f" (version {self.server.engine.version} (official build))\n"
        status = next((status for status, codes in STATUS_BY_CODE.items() if error.code in codes), 500)
        headers = {"X-ClickHouse-Exception-Code": str(error.code), "X-ClickHouse-Query-Id": self.query_id}
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        self.reply(status, headers, text.encode())

    def run(self, parameters: dict[str, str], line: dict):
        self.authenticate(parameters)
        self.query_id = parameters.get("query_id") or self.headers.get("x-clickhouse-query-id") or self.query_id
        if self.server.engine.compresses and parameters.get("enable_http_compression", "1") not in ("0", "false"):
            self.coding = blocks.chosen(self.headers.get("accept-encoding", ""))
        if self.command == "POST" and not self.body.chunked and not self.body.has_length:
            message = "The Transfer-Encoding is not chunked and there is no Content-Length header for POST request"
            raise Refused.of(381, "HTTP_LENGTH_REQUIRED", message)
        if parameters.get("compress") in ("1", "true"):
            raise Refused.of(48, "NOT_IMPLEMENTED", "This stand-in does not answer in compressed blocks")
        is_form = self.headers.get("content-type", "").startswith("multipart/form-data")
        settings = self.settings(parameters, is_form)
        line["settings"] = settings
        if is_form:
            self.read_form(parameters)
        text, data, statement_ = self.read_statement(parameters)
        line["statement"] = text.decode(errors="replace")
        with data, self.server.sessions.use(parameters) as connection, self.prepared(connection, parameters, settings):
            self.execute(connection, parameters, statement_, text, data, line)

    def authenticate(self, parameters: dict[str, str]):
        user, password = self.headers.get("x-clickhouse-user", ""), self.headers.get("x-clickhouse-key", "")
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        message = None
        if user or password:
            if not user:
                message = "Got an empty user name from X-ClickHouse HTTP headers"
            elif scheme:
                message = "Invalid authentication: it is not allowed to use X-ClickHouse HTTP headers and Authorization HTTP header simultaneously"
        elif scheme.lower() == "basic":
            with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                user, _, password = base64.b64decode(credentials).decode().partition(":")
        elif scheme:
            message = f"Invalid authentication: '{scheme}' HTTP Authorization scheme is not supported"
        else:
            user, password = parameters.get("user", "default"), parameters.get("password", "")
        if message is None and (user, password) != (self.server.user, self.server.password):
            message = f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
        if message is not None:
            raise Refused.of(516, "AUTHENTICATION_FAILED", message)

    def settings(self, parameters: dict[str, str], is_form: bool) -> dict[str, str]:
        names = [name for name in parameters if name and name not in RESERVED and not name.startswith("param_")]
        if is_form:
            # A server takes these for the description of external data.
            names = [name for name in names if not name.endswith(("_format", "_types", "_structure"))]
        return {name: parameters[name] for name in names}

    def read_form(self, parameters: dict[str, str]):
        _, _, boundary = self.headers["content-type"].partition("boundary=")
        parts = b"\r\n".join([b"", b"".join(self.body)]).split(b"\r\n--" + boundary.strip('"').encode())
        for part in parts[1:-1]:
            head, _, value = part.partition(b"\r\n\r\n")
            name = head.partition(b'name="')[2].partition(b'"')[0].decode()
            if b"filename=" in head or not (name == "query" or name.startswith("param_")):
                raise Refused.of(48, "NOT_IMPLEMENTED", "This stand-in takes no external data")
            parameters[name] = parameters.get(name, "") + value.decode() if name == "query" else value.decode()

    def read_statement(self, parameters: dict[str, str]):
        """The statement, and the data of an insert in a file."""
        text = parameters.get("query", "").encode()
        pieces = iter(self.body)
        if parameters.get("decompress") in ("1", "true"):
            pieces = blocks.decompressed(pieces)
        found = statement.read(text + b"\n") if text else None
        data = body()
        if found is None or found.data is None:
            # A server takes the parameter, a line break and the body for the statement.
            text = b"\n".join(filter(None, [text, b"".join(pieces)]))
            found = statement.read(text)
        if found.data is not None:
            data.write(text[found.data :])
            text = text[: found.data]
            for piece in pieces:
                data.write(piece)
        if not text.strip():
            raise Refused.of(62, "SYNTAX_ERROR", "Syntax error: failed at position 1 (end of query): Empty query")
        if not found.is_one:
            raise Refused.of(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        return text, data, found

    @contextlib.contextmanager
    def prepared(self, connection, parameters: dict[str, str], settings: dict[str, str]):
        database = self.headers.get("x-clickhouse-database") or parameters.get("database")
        if parameters.get("role"):
            raise Refused.of(511, "UNKNOWN_ROLE", f"There is no role `{parameters['role']}` in `user directories`.")
        if "session_id" in parameters:
            with connection.settings_of_one_statement(database, settings):
                yield
            return
        if database:
            connection.use(database)
        connection.set(settings)
        if self.command in ("GET", "HEAD"):
            connection.set({"readonly": "2"})
        yield

    def execute(self, connection, parameters, found, text: bytes, data, line: dict):
        faults = {fault.do: fault for fault in self.server.faults.take(found.kind, text)}
        line["faults"] = list(faults)
        death = faults.get("die")
        delay = faults.get("delay", Fault("delay"))
        if delay.when == "before":
            time.sleep(delay.ms / 1000)
        if "refuse" in faults:
            fault = faults["refuse"]
            raise Refused.of(fault.code, fault.name, fault.message)
        if death and death.when == "before":
            die(death.ms)
        if death and death.when == "during":
            die_soon(death.ms)
        name = found.format or self.headers.get("x-clickhouse-format") or parameters.get("default_format") or "TabSeparated"
        substitutes = {key[len("param_") :]: value for key, value in parameters.items() if key.startswith("param_")}
        if found.data is None:
            answer = connection.query(text, name, substitutes)
        else:
            if "halve" in faults:
                insert_half(connection, found, data)
                die()
            answer = connection.insert(found.head, found.settings, found.format, data, substitutes)
        line["code"], line["written_rows"] = 0, answer.summary["written_rows"]
        if death and death.when == "after":
            die(death.ms)
        if delay.when == "after":
            time.sleep(delay.ms / 1000)
        if "lose" in faults:
            raise Dropped
        summary = json.dumps({key: str(value) for key, value in answer.summary.items()}, separators=(",", ":"))
        headers = {
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Format": name,
            "X-ClickHouse-Timezone": self.server.engine.timezone,
            "X-ClickHouse-Summary": summary,
            "X-ClickHouse-Exception-Tag": (tag := secrets.token_hex(8)),
        }
        kind = name.lower()
        media = next((media for begin, media in MEDIA_TYPES.items() if kind.startswith(begin)), None)
        headers["Content-Type"] = media or "text/plain; charset=UTF-8"
        if "cut" in faults:
            self.reply(200, headers, answer.data[: len(answer.data) // 2], ends=False)
            raise Dropped
        if "fail" in faults:
            fault = faults["fail"]
            text = f"{Refused.of(fault.code, fault.name, fault.message)} (version {self.server.engine.version} (official build))\n"
            end = f"\r\n__exception__\r\n{tag}\r\n{text}{len(text.encode())} {tag}\r\n__exception__\r\n"
            return self.reply(200, headers, answer.data[: len(answer.data) // 2] + end.encode())
        self.reply(200, headers, answer.data)

    def reply(self, status: int, headers: dict[str, str], data: bytes, ends: bool = True):
        headers = {"Content-Type": "text/plain; charset=UTF-8"} | headers
        headers |= {"Connection": "Keep-Alive", "X-ClickHouse-Server-Display-Name": "front"}
        headers |= {"Keep-Alive": "timeout=10, max=9999"}
        if self.coding:
            headers["Content-Encoding"] = self.coding
        headers["Transfer-Encoding"] = "chunked"
        reason = http.server.BaseHTTPRequestHandler.responses.get(status, ("",))[0]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        out = bytearray(f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode())
        if self.command != "HEAD":
            for piece in blocks.compressed(self.coding, data):
                if len(piece):
                    out += b"%x\r\n" % len(piece) + piece + b"\r\n"
                if len(out) > blocks.PIECE:
                    self.wfile.write(out)
                    out = bytearray()
            out += b"0\r\n\r\n" if ends else b""
        self.wfile.write(out)


def insert_half(connection, found, data):
    """Inserts the rows of the lowest partition only, with the same settings."""
    table, _, columns = found.head.partition(b"INTO")[2].strip().partition(b"(")
    columns = b"(" + columns if columns else b""
    connection.query(b"CREATE TEMPORARY TABLE front_half AS " + table + b" ENGINE = Memory", "Null", {})
    connection.insert(b"INSERT INTO front_half " + columns, b"", found.format, data, {})
    description = b"SELECT partition_key FROM system.tables WHERE (database, name) = (currentDatabase(), {table:String})"
    database, _, name = table.decode().strip().replace("`", "").rpartition(".")
    if database:
        description = description.replace(b"currentDatabase()", b"{database:String}")
    key = connection.query(description, "TabSeparatedRaw", {"table": name, "database": database}).data.strip() or b"1"
    lowest = b" WHERE (" + key + b") = (SELECT min(" + key + b") FROM front_half)"
    connection.query(b"INSERT INTO " + table + b" SELECT * FROM front_half" + lowest, "Null", {})


class Control(http.server.BaseHTTPRequestHandler):
    """The control address: a JSON object for each request. See `faults.py`; besides, {"do": "shut"} closes the listener and
    all connections, {"do": "open"} opens it, {"do": "clear"} forgets faults, {"do": "status"} tells what was asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        try:
            order = json.loads(b"".join(Body(self.headers, self.rfile)))
            status, answer = 200, self.obey(order.pop("do"), order)
        except (ValueError, TypeError, KeyError) as error:
            status, answer = 400, {"error": str(error)}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def obey(self, what: str, order: dict) -> dict:
        server = self.server
        if what == "shut":
            self.door.shut()
        elif what == "open":
            self.door.open()
        elif what == "clear":
            server.faults.clear()
        elif what == "status":
            with server.lock:
                return {"in_flight": server.in_flight, "statements": list(server.statements)}
        else:
            server.faults.add(Fault(what, **order))
        return {}


def end_with_parent():
    """A parent that was killed cannot end this process."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main():
    options = argparse.ArgumentParser(description="Stands in for a ClickHouse server in tests.")
    options.add_argument("--data", required=True, help="the engine's directory")
    options.add_argument("--config", help="the engine's configuration, XML")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--control-port", type=int, default=0)
    options.add_argument("--user", default="default")
    options.add_argument("--password", default="")
    options.add_argument("--certificate", help="PEM; then it speaks TLS")
    options.add_argument("--key", help="PEM")
    options = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=end_with_parent, daemon=True).start()
    server = Server(options)
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate, options.key)
    host = "127.0.0.1"
    door = Door(host, options.port, lambda connection, peer: Handler(connection, peer, server), tls)
    bound = type("BoundControl", (Control,), {"door": door})
    control = Door(host, options.control_port, lambda connection, peer: bound(connection, peer, server))
    scheme = "https" if tls else "http"
    print(f"the front listens on {scheme}://{host}:{door.address[1]}, control on {host}:{control.address[1]}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
