"""As much of ClickHouse's grammar as an HTTP server needs before the engine has a statement: where the data of an
INSERT begins, and in which format an answer must be."""

import re
from dataclasses import dataclass

TOKEN = re.compile(
    rb"""
    (?P<space>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
    |(?P<text>'(?:[^'\\]|\\.|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<name>"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>[0-9][A-Za-z0-9_.]*)
    |(?P<sign>.)
    """,
    re.DOTALL | re.VERBOSE,
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
    return insert(text, tokens) if kind == "INSERT" else other(kind, text, tokens)


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
            return other("INSERT", text, significant(text))
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


def other(kind: str, text: bytes, tokens) -> Statement:
    found, depth, ended, is_one = None, 0, False, True
    for group, token, _, _ in tokens:
        is_one &= not ended or token == b";"
        if group == "sign":
            depth += {b"(": 1, b")": -1}.get(token, 0)
            ended |= token == b";" and depth == 0
        if group == "word" and depth == 0 and token.upper() == b"FORMAT":
            name = next(tokens, None)
            found = name[1].decode() if name and name[0] == "word" else found
    return Statement(kind, text, format=found, is_one=is_one)


def significant(text: bytes):
    """The tokens that are neither space nor comment: kind, token, begin, end."""
    for match in TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield match.lastgroup, match.group(), match.start(), match.end()
