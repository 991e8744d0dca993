"""What goes wrong on demand. Each fault is an object that `POST /` on the control address has as JSON:

{"do": "refuse", "code": 252, "name": "TOO_MANY_PARTS", "message": "..."}   an exception before the engine has the statement
{"do": "delay", "ms": 500}      the engine has the statement later; with "when": "after", only the answer comes later
{"do": "lose"}                  the statement is run, then the connection is closed without an answer
{"do": "die", "when": "before", "during" or "after", "ms": 5}   the process is killed (SIGKILL): before the statement, so
                                many milliseconds after the engine has it, or after it and before the answer
{"do": "halve"}                 the rows of one partition of an insert are inserted, then the process is killed. A server
                                that is killed between two parts of an insert leaves the same: each part is committed for
                                itself, with its own mark for deduplication
{"do": "cut"}                   the connection is closed after half of the answer's body
{"do": "fail", "code": 241, ...}    half of the answer's body, then an exception, as a server ends an answer that it has begun

Each takes "times" (1), "on" (the first word of the statement, in capitals: INSERT; empty for any) and "containing" (a part of
the statement)."""

import os
import signal
import threading
import time
from dataclasses import dataclass


@dataclass
class Fault:
    do: str
    times: int = 1
    on: str = "INSERT"
    containing: str = ""
    code: int = 252
    name: str = "TOO_MANY_PARTS"
    message: str = "Too many parts (refused on demand)"
    ms: int = 0
    when: str = "before"

    KNOWN = ("refuse", "delay", "lose", "die", "halve", "cut", "fail")

    def __post_init__(self):
        if self.do not in self.KNOWN or self.when not in ("before", "during", "after"):
            raise ValueError(f"no such fault: {self}")


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.waiting: list[Fault] = []

    def add(self, fault: Fault):
        with self.lock:
            self.waiting.append(fault)

    def clear(self):
        with self.lock:
            self.waiting.clear()

    def take(self, kind: str, text: bytes) -> list[Fault]:
        """The faults of this statement: at most one of each kind."""
        taken = {}
        with self.lock:
            for fault in self.waiting:
                fits = fault.on in ("", kind) and fault.containing.encode() in text
                if fits and fault.times > 0 and fault.do not in taken:
                    taken[fault.do] = fault
                    fault.times -= 1
            self.waiting = [fault for fault in self.waiting if fault.times > 0]
        return list(taken.values())


def die(after_ms: int = 0):
    time.sleep(after_ms / 1000)
    os.kill(os.getpid(), signal.SIGKILL)


def die_soon(after_ms: int):
    threading.Thread(target=die, args=(after_ms,), daemon=True).start()
