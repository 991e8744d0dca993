"""As much of ClickHouse's grammar as an HTTP server needs before the engine has a statement: where the data of an
INSERT begins, and in which format an answer must be."""

import re
from dataclasses import dataclass

COMMENT = rb"""--[^\n]*|\#[ !][^\n]*|/\*.*?\*/"""
TEXT = rb"""'(?:[^'\\]|\\.|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"""
NAME = rb""""(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`"""
SKIPPED = COMMENT + b"|" + TEXT + b"|" + NAME
TOKEN = re.compile(
    rb"(?P<space>\s+|" + COMMENT + rb")|(?P<text>" + TEXT + rb")|(?P<name>" + NAME + rb")"
    rb"""
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>[0-9][A-Za-z0-9_.]*)
    |(?P<sign>.)
    """,
    re.DOTALL | re.VERBOSE,
)
# Long statements are mostly numbers, so that only what matters is looked at.
MARK = re.compile(
    SKIPPED + rb"""|[();]|\bFORMAT\s+(?P<format>[A-Za-z_][A-Za-z0-9_]*)""",
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)
# What may follow the table of an INSERT in place of data.
OTHER_SOURCES = {b"SELECT", b"WITH", b"FROM", b"WATCH"}
# Between the name of a format and the data: spaces, then one line break.
BEFORE_DATA = re.compile(rb"[ \t\f]*\r?\n?")


@dataclass
class Statement:
    """`head` and `settings` are an INSERT before its data: up to its clause SETTINGS, and that clause. `data` is where the
    data begins; None for a statement without any."""

    kind: str
    head: bytes
    settings: bytes = b""
    format: str | None = None
    data: int | None = None
    is_one: bool = True


def read(text: bytes) -> Statement:
    """Reads a statement, which may end with data in any format."""
    tokens = significant(text)
    first = next(tokens, None)
    kind = first[1].upper().decode() if first and first[0] == "word" else ""
    return insert(text, tokens) if kind == "INSERT" else other(kind, text)


def insert(text: bytes, tokens) -> Statement:
    depth, may_be_name, head = 0, True, None
    for group, token, begin, end in tokens:
        depth += {b"(": 1, b")": -1}.get(token, 0) if group == "sign" else 0
        word = token.upper() if group == "word" and depth == 0 else b""
        # The name of the table, which could be `format`.
        if may_be_name and word not in {b"INTO", b"TABLE", b"FUNCTION"}:
            may_be_name = False
            continue
        if token == b".":
            may_be_name = True
        if word in OTHER_SOURCES:
            return other("INSERT", text)
        if word == b"SETTINGS" and head is None:
            head = begin
        if word == b"VALUES":
            return with_data(text, head, begin, "Values", end)
        if word == b"FORMAT":
            name = next(tokens, None)
            if name and name[0] == "word":
                data = BEFORE_DATA.match(text, name[3]).end()
                return with_data(text, head, begin, name[1].decode(), data)
    return Statement("INSERT", text)


def with_data(text: bytes, head: int | None, end: int, name: str, data: int) -> Statement:
    head = end if head is None else head
    return Statement("INSERT", text[:head], text[head:end], name, data)


def other(kind: str, text: bytes) -> Statement:
    found, depth = None, 0
    for match in MARK.finditer(text):
        mark = match.group()
        depth += {b"(": 1, b")": -1}.get(mark, 0)
        if depth:
            continue
        if match.lastgroup == "format":
            found = match["format"].decode()
        if mark == b";":
            more = (token for _, token, _, _ in significant(text[match.end() :]) if token != b";")
            return Statement(kind, text, format=found, is_one=next(more, None) is None)
    return Statement(kind, text, format=found)


def significant(text: bytes):
    """The tokens that are neither space nor comment: kind, token, begin, end."""
    for match in TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield match.lastgroup, match.group(), match.start(), match.end()
