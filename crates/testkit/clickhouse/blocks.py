"""Compression as the HTTP interface has it: the engine's blocks in requests (`decompress=1`), LZ4 frames, gzip and
deflate in answers."""

import struct
import zlib

import lz4.block
import lz4.frame

# Before each block: a checksum of 16 bytes, then the method, the size from here on, and the size of the content.
CHECKSUM, HEAD = 16, struct.Struct("<BII")
PLAIN, LZ4 = 0x02, 0x82
# The server's bound, DBMS_MAX_COMPRESSED_SIZE.
MOST = 1 << 30
PIECE = 1 << 20


class Damaged(Exception):
    """`code` is the engine's."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


def decompressed(pieces):
    """The content of blocks that arrive in pieces of any size. Checksums are not compared."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= CHECKSUM + HEAD.size:
            method, size, content = HEAD.unpack_from(held, CHECKSUM)
            if not HEAD.size <= size <= MOST or content > MOST:
                raise Damaged(40, "Too large size_compressed_without_checksum. Most likely corrupted data")
            if len(held) < CHECKSUM + size:
                break
            packed = bytes(held[CHECKSUM + HEAD.size : CHECKSUM + size])
            del held[: CHECKSUM + size]
            yield unpacked(method, packed, content)
    if held:
        raise Damaged(33, "Cannot read all data: the body ends within a compressed block")


def unpacked(method: int, packed: bytes, content: int) -> bytes:
    if method == PLAIN:
        return packed
    if method != LZ4:
        raise Damaged(89, f"Unknown codec family code: {method}")
    try:
        return lz4.block.decompress(packed, uncompressed_size=content)
    except lz4.block.LZ4BlockError as error:
        raise Damaged(271, f"Cannot decompress: {error}") from error


def pieces(data: bytes):
    view = memoryview(data)
    for begin in range(0, len(view), PIECE):
        yield view[begin : begin + PIECE]


def chosen(accepted: str) -> str | None:
    """The coding of an answer, of those that a server has and a request accepts."""
    names = {name.split(";")[0].strip() for name in accepted.lower().split(",")}
    return next((name for name in ("gzip", "deflate", "lz4") if name in names), None)


def compressed(coding: str | None, data: bytes):
    """The answer in pieces, in a coding of HTTP."""
    if coding is None:
        yield from pieces(data)
    elif coding == "lz4":
        with lz4.frame.LZ4FrameCompressor() as frame:
            yield frame.begin()
            for piece in pieces(data):
                yield frame.compress(piece)
            yield frame.flush()
    else:
        packer = zlib.compressobj(3, zlib.DEFLATED, 31 if coding == "gzip" else 15)
        for piece in pieces(data):
            yield packer.compress(piece)
        yield packer.flush()
