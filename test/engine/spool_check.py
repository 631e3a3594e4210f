"""Random lives of the launcher's spool against what it must give: every byte once, in order, or counted in a gap."""

import json
import random
import sys

sys.path.insert(0, "/.meadow/launcher")
import spool as module  # noqa: E402
from spool import GAP, HEADER, NOTE, STDERR, STDOUT, Spool  # noqa: E402


def decode(data):
    kind, length, offset, _ = HEADER.unpack_from(data)
    payload = data[HEADER.size :]
    assert len(payload) == length, "length"
    return kind, offset, payload


def live(seed):
    choose = random.Random(seed)
    memory, limit = choose.choice([(50, 200), (1000, 1000), (0, 300), (100, 10_000)])
    module.MOST_FRAMES = choose.choice([5, 65536])
    spool = Spool(memory, limit)
    truth = []  # (kind, byte), by offset
    stored = 0  # what the service has for good
    at = 0  # what it has seen
    for _ in range(300):
        action = choose.random()
        if action < 0.5:
            kind = choose.choice([STDOUT, STDOUT, STDERR, NOTE])
            # Notes are few and short, and are not written to the file.
            length = choose.randrange(1, 5 if kind == NOTE else 80)
            payload = choose.getrandbits(8 * length).to_bytes(length, "big")
            spool.append(kind, payload)
            truth += [(kind, byte) for byte in payload]
        elif action < 0.85:
            data = spool.take()
            if data is not None:
                kind, offset, payload = decode(data)
                assert offset == at, f"{offset} instead of {at}"
                if kind == GAP:
                    missing = json.loads(payload)["bytes"]
                    assert missing > 0
                    # Only where there was too much of it (a frame is shorter than 80 bytes).
                    assert module.MOST_FRAMES == 5 or len(truth) - at > limit - 80, "lost without need"
                    at += missing
                    assert at <= len(truth)
                else:
                    assert [(kind, byte) for byte in payload] == truth[at : at + len(payload)], "content"
                    at += len(payload)
        elif action < 0.95:
            stored = choose.choice([stored, at, at])
            spool.ack(stored)
        else:
            at = stored
            spool.resume(at)
        assert spool.held() <= limit, "holds too much"
        assert spool.in_memory <= memory + 400, "too much of it in memory"
        assert spool.end == len(truth)
    while True:
        data = spool.take()
        if data is None:
            break
        kind, offset, payload = decode(data)
        assert offset == at
        at += json.loads(payload)["bytes"] if kind == GAP else len(payload)
    assert at == len(truth), "the end is missing"
    spool.ack(at)
    assert spool.empty() and spool.in_memory == 0


for seed in range(100):
    try:
        live(seed)
    except AssertionError as error:
        sys.exit(f"seed {seed}: {error!r}")
print("all lives are right")
