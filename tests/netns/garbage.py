# SPDX-License-Identifier: Apache-2.0
"""Throws garbage at a WireGuard port, and reads the tunnel's drop counters. Standard library only.

garbage.py drops CONTROL_SOCKET DROP_REASON_H      one "reason packets" per line
garbage.py throw ADDRESS PORT SOURCE_PORT PCAP KEY everything below to the port; prints how much; fails if answered
garbage.py flood ADDRESS PORT SOURCE_PORT PCAP KEY a captured initiation again and again, as fast as it goes

PCAP holds real messages on their way to that port (tcpdump -w): they come back truncated, lengthened, with each of
their bits turned, and as they were; handshake messages also with a right mac1, for KEY, the tunnel's public key, is no
secret. Paced, so that the tunnel is not under load, when cookies would be right.
"""
import base64
import hashlib
import random
import re
import socket
import struct
import sys
import time

ETHERNET_LEN = 14
TYPES = {148: "initiation", 92: "response", 64: "cookie"}


def read_drops(path, header):
    with open(header, encoding="ascii") as lines:
        reasons = re.findall(r'^\s*X\(\w+, "(\w+)"', lines.read(), re.MULTILINE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.connect(path)
        control.send(struct.pack("=HHi", 1, 7, 0))  # CONTROL_READ_DROPS
        answer = control.recv(131072)
    error = struct.unpack_from("=HHi", answer)[2]
    if error:
        raise SystemExit(f"the tunnel answers {error}")
    count = struct.unpack_from("=I", answer, 8)[0]
    values = struct.unpack_from(f"={count}Q", answer, 16)
    for reason, value in zip(reasons, values, strict=True):
        print(reason, value)


def udp_payload(frame):
    kind = struct.unpack_from("!H", frame, 12)[0]
    at = ETHERNET_LEN
    if kind == 0x0800:
        at += (frame[at] & 15) * 4
    elif kind == 0x86DD:
        at += 40
    else:
        return b""
    return frame[at + 8 :]


def read_messages(path):
    """One message of each kind: the longest data message, the first of the others."""
    messages = {}
    with open(path, "rb") as capture:
        data = capture.read()
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("=IIII", data, at)[2]
        payload = udp_payload(data[at + 16 : at + 16 + length])
        at += 16 + length
        if not payload:
            continue
        kind = TYPES.get(len(payload), "data") if payload[0] < 4 else "data"
        if kind not in messages or kind == "data" and len(payload) > len(messages[kind]):
            messages[kind] = payload
    return messages


def random_datagrams(rng):
    for _ in range(3000):
        yield rng.randbytes(rng.randrange(1473))
    for kind in range(256):
        for length in (1, 4, 16, 31, 32, 48, 63, 64, 65, 91, 92, 93, 147, 148, 149, 1472):
            yield (bytes([kind, 0, 0, 0]) + rng.randbytes(length))[:length]
    yield b""


def deformed(message):
    for length in range(len(message)):
        yield message[:length]
    for more in (1, 16, 100):
        yield message + bytes(more)
    for bit in range(min(len(message), 160) * 8):
        turned = bytearray(message)
        turned[bit // 8] ^= 1 << bit % 8
        yield bytes(turned)
    yield message


def with_mac1(message, public_key):
    """The paper, 5.4.4; mac2 stays zero."""
    key = hashlib.blake2s(b"mac1----" + public_key).digest()
    body = message[:-32]
    return body + hashlib.blake2s(body, key=key, digest_size=16).digest() + bytes(16)


def handshakes_for(public_key, initiation, rng):
    for at in range(4, len(initiation) - 32):
        turned = bytearray(initiation)
        turned[at] ^= 1 + rng.randrange(255)
        yield with_mac1(bytes(turned), public_key)
    for _ in range(200):
        yield with_mac1(bytes([1, 0, 0, 0]) + rng.randbytes(144), public_key)
        yield with_mac1(bytes([2, 0, 0, 0]) + rng.randbytes(88), public_key)


def open_sender(address, port, source_port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.bind(("", source_port))
    sender.connect((address, port))
    return sender


def is_answered(sender):
    """True for a datagram, and for an ICMP error, which a connected socket hears of."""
    sender.settimeout(0.5)
    try:
        print("answered with", len(sender.recv(65536)), "bytes")
    except TimeoutError:
        return False
    except OSError as error:
        print("answered with", error)
    return True


def throw(address, port, source_port, capture, public_key):
    rng = random.Random(2026)
    sent = 0
    messages = read_messages(capture)
    if not {"initiation", "data"} <= messages.keys():
        raise SystemExit(f"the capture has only {sorted(messages)}")
    sender = open_sender(address, port, source_port)
    sources = [random_datagrams(rng), handshakes_for(public_key, messages["initiation"], rng)]
    for source in sources + [deformed(message) for message in messages.values()]:
        for datagram in source:
            sender.send(datagram)
            sent += 1
            if sent % 16 == 0:
                time.sleep(0.008)
    print(f"{sent} datagrams, made of chance and of {', '.join(sorted(messages))}")
    sys.exit(is_answered(sender))


def flood(address, port, source_port, capture, _):
    initiation = read_messages(capture)["initiation"]
    sender = open_sender(address, port, source_port)
    for _ in range(20000):
        sender.send(initiation)


if sys.argv[1] == "drops":
    read_drops(*sys.argv[2:4])
else:
    verb = {"throw": throw, "flood": flood}[sys.argv[1]]
    verb(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], base64.b64decode(sys.argv[6]))
