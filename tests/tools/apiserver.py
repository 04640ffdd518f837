#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An API server that misbehaves on command, for tests that a real one could not provoke.

It holds objects in memory and implements the part of the Kubernetes API that podveil-keyd uses, over
HTTPS (HTTP/1.1): lists in pages, watches with bookmarks, GET, merge PATCH with preconditions and dry
run, POST of events. A Unix socket controls its faults:

    apiserver.py certificates DIR [ADDRESS...]
        ca, server, expired, stranger (another authority), client: .crt and .key
    apiserver.py serve --listen ADDR:PORT --cert FILE --key FILE --control SOCKET [--bookmarks SECONDS]

    curl --unix-socket SOCKET http://api/...
      GET     /requests              the requests so far, and how they were answered
      PUT     /objects/KEY           an object; KEY as in the API: nodes/n3,
                                     configmaps/podveil/podveil (resource, namespace, name)
      GET, DELETE /objects/KEY
      POST    /faults                {"path": REGEX, "method": "GET", "from": ADDRESS,
                                     "times": N (0: always), "do": {"kind": ...}}
      DELETE  /faults                ends all faults; requests that hang or are silent continue
      POST    /watches               {"path": REGEX, "send": [LINE...],
                                     "then": "end"|"cut"|"reset"|"silence", "least": N}:
                                     to the running watches, if there are at least N
      POST    /tokens                {TOKEN: NODE}; without any, every client may do everything
      POST    /tls                   {"cert": FILE, "key": FILE} for new connections; ends the open ones
      POST    /compact               watches from before now are refused from now on
      POST    /snapshot, /restore    saves this state; returns to it, resourceVersion included
      POST    /fill                  {"nodes": N}: adds N Nodes without agents

The "kind" of a fault is status (status, reason, headers, body), hang, close, reset, body (body),
truncate (after, chunked), drip (bytes, every), huge (bytes, chunked), or past (the list of the
snapshot); for a watch also silence, twice, or shuffled (seconds).
"""
import argparse
import base64
import collections
import copy
import http.server
import json
import os
import queue
import re
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

HISTORY = 10000
CHUNK = 65536
METADATA_ONLY = "as=PartialObjectMetadata"
AGENT_ANNOTATIONS = {"podveil.io/tunnel", "podveil.io/rotate-served"}
AGENT_TAINT = "podveil.io/agent-not-ready"
KINDS = {"nodes": ("v1", "Node"), "configmaps": ("v1", "ConfigMap"), "events": ("v1", "Event"),
         "endpointslices": ("discovery.k8s.io/v1", "EndpointSlice")}


# -- certificates --

def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"openssl {arguments[0]}: {done.stderr}")


def make_authority(folder, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt")


def make_certificate(folder, name, authority, names, first="20250101000000Z", last="20491231235959Z"):
    """Signed by `openssl ca`, the only command that accepts arbitrary dates."""
    work = f"{folder}/{name}.ca"
    os.mkdir(work)
    with open(f"{work}/conf", "w", encoding="ascii") as conf:
        conf.write(f"""[ca]\ndefault_ca=default
[default]\ndatabase={work}/index\nserial={work}/serial\nnew_certs_dir={work}\ndefault_md=sha256\npolicy=any\nunique_subject=no
[any]\ncommonName=supplied
[more]\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={names}
[req]\ndistinguished_name=dn\n[dn]\n""")
    open(f"{work}/index", "w", encoding="ascii").close()
    with open(f"{work}/serial", "w", encoding="ascii") as serial:
        serial.write(uuid.uuid4().hex[:16].upper())
    openssl("req", "-config", f"{work}/conf", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{work}/request")
    openssl("ca", "-batch", "-notext", "-config", f"{work}/conf", "-extensions", "more", "-in", f"{work}/request",
            "-cert", f"{folder}/{authority}.crt", "-keyfile", f"{folder}/{authority}.key",
            "-startdate", first, "-enddate", last, "-out", f"{folder}/{name}.crt")


def make_certificates(folder, addresses):
    names = ",".join([f"IP:{address}" for address in addresses] + ["DNS:kubernetes.test"])
    for authority in ("ca", "other-ca"):
        make_authority(folder, authority)
    make_certificate(folder, "server", "ca", names)
    make_certificate(folder, "stranger", "other-ca", names)
    make_certificate(folder, "elsewhere", "ca", "DNS:elsewhere.test,IP:192.0.2.1")
    make_certificate(folder, "expired", "ca", names, last="20250201000000Z")
    make_certificate(folder, "client", "ca", "DNS:client.test")


# -- objects --

class Gone(Exception):
    """The requested history has been compacted."""


class Store:
    """Objects by (resource, namespace, name), their history for watches, and the watchers."""

    def __init__(self):
        self.lock = threading.RLock()
        self.objects, self.version, self.oldest = {}, 1000, 1000
        self.history = collections.deque(maxlen=HISTORY)
        self.watches, self.kept = [], None

    def _tell(self, kind, key, item):
        event = (self.version, kind, key, copy.deepcopy(item))
        self.history.append(event)
        for watch in self.watches:
            watch.queue.put(event)

    def put(self, key, item):
        with self.lock:
            was = self.objects.get(key)
            item = copy.deepcopy(item)
            item["apiVersion"], item["kind"] = KINDS[key[0]]
            meta = item.setdefault("metadata", {})
            meta.setdefault("name", key[2])  # a test may give it none: null
            if key[1]:
                meta["namespace"] = key[1]
            meta.setdefault("uid", was["metadata"]["uid"] if was else str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", was["metadata"]["creationTimestamp"] if was else "2026-01-01T00:00:00Z")
            self.version += 1
            meta["resourceVersion"] = str(self.version)
            self.objects[key] = item
            self._tell("MODIFIED" if was else "ADDED", key, item)
            return item

    def delete(self, key):
        with self.lock:
            item = self.objects.pop(key, None)
            if item:
                self.version += 1
                item = copy.deepcopy(item)
                item["metadata"]["resourceVersion"] = str(self.version)
                self._tell("DELETED", key, item)
            return item

    def get(self, key):
        with self.lock:
            return copy.deepcopy(self.objects.get(key))

    def list(self, wants):
        with self.lock:
            return self.version, [copy.deepcopy(item) for key, item in sorted(self.objects.items()) if wants(key, item)]

    def watch(self, watch, version):
        """Watches from that version on; events since then come first."""
        with self.lock:
            if version and version < self.oldest:
                raise Gone()
            events = [event for event in self.history if event[0] > version] if version else \
                [(self.version, "ADDED", key, copy.deepcopy(item)) for key, item in sorted(self.objects.items())]
            for event in events:
                watch.queue.put(event)
            self.watches.append(watch)

    def unwatch(self, watch):
        with self.lock:
            self.watches.remove(watch)

    def compact(self):
        with self.lock:
            self.history.clear()
            self.oldest = self.version

    def snapshot(self):
        with self.lock:
            self.kept = (copy.deepcopy(self.objects), self.version)

    def past(self, wants):
        """The list of a server that lags behind."""
        objects, version = self.kept
        return version, [copy.deepcopy(item) for key, item in sorted(objects.items()) if wants(key, item)]

    def restore(self):
        """As after a restore of etcd from a backup: the version numbers are used a second time."""
        with self.lock:
            self.objects, self.version = copy.deepcopy(self.kept[0]), self.kept[1]
            self.history.clear()
            self.oldest = self.version


def merge(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge(target.get(name), value)
    return target


def apply_json_patch(target, patch):
    """The part of RFC 6902 that agents use: test and remove. None: a test failed."""
    target = copy.deepcopy(target)
    for step in patch:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        at = target
        for part in way:
            at = at[int(part)] if isinstance(at, list) else at.get(part, {})
        index = int(last) if isinstance(at, list) else last
        if step["op"] == "test" and (at[index] if isinstance(at, list) and index < len(at) else
                                     isinstance(at, dict) and at.get(index)) != step["value"]:
            return None
        if step["op"] == "remove":
            del at[index]
    return target


def status_of(code, reason, message):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "code": code}


# -- one request --

class Hangup(Exception):
    """The connection is over."""


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        split = urllib.parse.urlsplit(target)
        self.path, self.query = split.path, dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))

    def key(self):
        """(resource, namespace, name); name None: the whole collection. None: no such resource."""
        found = re.fullmatch(r"/(?:api/v1|apis/discovery\.k8s\.io/v1)(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?(/status)?",
                             self.path)
        if not found or found[2] not in KINDS:
            return None
        return found[2], found[1] or "", found[3]

    def wants(self):
        """The objects that the selectors match."""
        resource, namespace, _ = self.key()
        name = dict(part.split("=", 1) for part in self.query.get("fieldSelector", "").split(",") if "=" in part)
        labels = dict(part.split("=", 1) for part in self.query.get("labelSelector", "").split(",") if "=" in part)

        def matches(key, item):
            has = item["metadata"].get("labels") or {}
            return key[0] == resource and (not namespace or key[1] == namespace) and \
                name.get("metadata.name", key[2]) == key[2] and all(has.get(k) == v for k, v in labels.items())
        return matches


class Watch:
    def __init__(self, server, connection, request, how):
        self.server, self.connection, self.request, self.how = server, connection, request, how
        self.queue = queue.Queue()
        self.version = 0

    def line(self, kind, item):
        if METADATA_ONLY in self.request.headers.get("accept", ""):
            item = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
        return json.dumps({"type": kind, "object": item}) + "\n"

    def bookmark(self):
        with self.server.store.lock:
            version = self.server.store.version
        return self.line("BOOKMARK", {"kind": "Node", "apiVersion": "v1",
                                      "metadata": {"resourceVersion": str(version), "creationTimestamp": None}})

    def events(self, first):
        """The line to send for this event, in the requested format."""
        wants, lines = self.request.wants(), []
        batch = [first]
        if self.how.get("kind") == "shuffled":
            time.sleep(self.how.get("seconds", 0.5))
            while not self.queue.empty():
                batch.append(self.queue.get())
            batch.reverse()
        for event in batch:
            if not isinstance(event, tuple):
                self.queue.put(event)
            elif wants(event[2], event[3]):
                lines.append(self.line(event[1], event[3]))
        return lines * (2 if self.how.get("kind") == "twice" else 1)

    def told(self, command):
        for line in command.get("send", []):
            text = line if isinstance(line, str) else json.dumps(line) + "\n"
            self.connection.send_chunk(text.encode())
        then = command.get("then")
        if then == "cut":  # a chunk that promises more than comes
            self.connection.send(b"1000\r\n{\"type\":\"MODIFIED\",\"obj")
            raise Hangup()
        if then == "reset":
            self.connection.reset()
        if then == "silence":
            self.connection.wait_for_mercy()
        return then != "end"

    def run(self):
        self.follow()
        self.connection.end_chunks()

    def follow(self):
        connection, server = self.connection, self.server
        until = time.monotonic() + float(self.request.query.get("timeoutSeconds", "1800"))
        has_bookmarks = self.request.query.get("allowWatchBookmarks") == "true"
        bookmark = time.monotonic() + server.bookmarks
        version = int(self.request.query.get("resourceVersion") or 0)
        server.store.watch(self, version)
        try:
            connection.send_head(200, {"Transfer-Encoding": "chunked"})
            if self.how.get("kind") == "silence":
                connection.wait_for_mercy()
            if self.how.get("send") and not self.told(self.how):
                return
            while time.monotonic() < until:
                try:
                    event = self.queue.get(timeout=max(0.01, min(until, bookmark) - time.monotonic()))
                except queue.Empty:
                    if has_bookmarks and time.monotonic() >= bookmark:
                        connection.send_chunk(self.bookmark().encode())
                    if time.monotonic() >= bookmark:
                        bookmark = time.monotonic() + server.bookmarks
                    continue
                if isinstance(event, dict):
                    if not self.told(event):
                        return
                    continue
                for line in self.events(event):
                    connection.send_chunk(line.encode())
        finally:
            server.store.unwatch(self)


class Connection(threading.Thread):
    """One client, request after request."""

    def __init__(self, server, plain, address, number):
        super().__init__(daemon=True)
        self.server, self.plain, self.address, self.number = server, plain, address, number
        self.tls, self.file = None, None

    def run(self):
        try:
            self.plain.settimeout(600)
            self.tls = self.server.tls.wrap_socket(self.plain, server_side=True)
            self.tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.file = self.tls.makefile("rb")
            while True:
                request = self.read_request()
                self.answer(request)
        except ssl.SSLError as error:
            self.server.note(self.number, self.address, "TLS", str(error.reason), {}, 0)
        except (Hangup, OSError, ValueError):
            pass
        finally:
            with self.server.lock:
                self.server.connections.discard(self)
            self.close()

    def end(self):
        """Called from another thread."""
        try:
            (self.tls or self.plain).shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        for sock in (self.file, self.tls, self.plain):
            try:
                if sock:
                    sock.close()
            except OSError:
                pass

    def reset(self):
        """RST instead of FIN."""
        self.tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup()

    def wait_for_mercy(self):
        """Stays silent until the faults are deleted."""
        self.server.mercy.wait_for_next()

    def read_request(self):
        line = self.file.readline(65536).decode("latin-1").split()
        if len(line) != 3 or not line[2].startswith("HTTP/1."):  # such as the end of a TLS session, still encrypted
            raise Hangup()
        headers = {}
        while True:
            header = self.file.readline(131072).decode("latin-1").strip()
            if not header:
                break
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = self.file.read(int(headers.get("content-length", "0")))
        return Request(line[0], line[1], headers, body)

    # -- writing --

    def send(self, data):
        self.tls.sendall(data)

    def send_head(self, code, headers):
        self.server.note_status(self.number, code)
        lines = [f"HTTP/1.1 {code} .", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send_chunk(self, data):
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end_chunks(self):
        self.send(b"0\r\n\r\n")

    def send_body(self, code, item, headers=None):
        body = item if isinstance(item, bytes) else json.dumps(item).encode()
        self.send_head(code, {"Content-Length": len(body), **(headers or {})})
        self.send(body)

    # -- faults --

    def misbehave(self, request, fault):
        """True: the fault was the answer. False: the request continues normally."""
        kind = fault["kind"]
        if kind == "status":
            code = fault["status"]
            self.send_body(code, fault.get("body", status_of(code, fault.get("reason", ""), "told to")),
                           fault.get("headers"))
        elif kind == "hang":
            self.wait_for_mercy()
        elif kind == "close":
            raise Hangup()
        elif kind == "reset":
            self.reset()
        elif kind == "body":
            body = fault["body"]
            self.send_body(200, body.encode() if isinstance(body, str) else body)
        elif kind == "truncate":
            self.truncate(self.proper_body(request), fault)
        elif kind == "drip":
            self.drip(self.proper_body(request), fault)
        elif kind == "huge":
            self.send_huge(fault)
        elif kind == "past":
            self.send_body(*self.list(request, self.server.store.past(request.wants())))
        else:
            return False
        return True

    def truncate(self, body, fault):
        part = body[:fault.get("after", len(body) // 2)]
        if fault.get("chunked"):
            self.send_head(200, {"Transfer-Encoding": "chunked"})
            self.send(f"{len(body):x}\r\n".encode() + part)
        else:
            self.send_head(200, {"Content-Length": len(body)})
            self.send(part)
        raise Hangup()

    def drip(self, body, fault):
        self.send_head(200, {"Content-Length": len(body)})
        step = fault.get("bytes", 1)
        for at in range(0, len(body), step):
            self.send(body[at:at + step])
            if self.server.mercy.wait_for_next(fault.get("every", 0.2)):
                self.send(body[at + step:])
                break

    def send_huge(self, fault):
        """A list of nodes that never existed."""
        total, sent = fault["bytes"], 0
        has_length = not fault.get("chunked")
        self.send_head(200, {"Content-Length": total} if has_length else {"Transfer-Encoding": "chunked"})
        opening = b'{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":['
        item = json.dumps({"metadata": {"name": "x", "uid": "x", "annotations": {"a": "x" * 4000}}}).encode() + b","
        block = item * 16
        while sent < total:
            data = (opening if not sent else block)[:total - sent]
            self.send(data) if has_length else self.send_chunk(data)
            sent += len(data)
        if not has_length:
            self.end_chunks()

    # -- answers --

    def answer(self, request):
        identity = self.server.identify(request)
        self.server.note(self.number, self.address, request.method, request.target, request.headers, len(request.body))
        fault = self.server.find_fault(request, self.address)
        if fault and self.misbehave(request, fault):
            return
        if identity is None:
            self.send_body(401, status_of(401, "Unauthorized", "Unauthorized"))
        elif not request.key():
            self.send_body(404, status_of(404, "NotFound", "the server could not find the requested resource"))
        elif request.method == "GET" and request.query.get("watch") in ("1", "true"):
            self.watch(request, fault or {})
        else:
            code, item = self.proper(request, identity)
            self.send_body(code, item)

    def watch(self, request, fault):
        try:
            Watch(self.server, self, request, fault).run()
        except Gone:
            self.send_body(410, status_of(410, "Expired", "too old resource version"))

    def proper_body(self, request):
        return json.dumps(self.proper(request, "")[1]).encode()

    def proper(self, request, identity):
        """(status, object) as a real API server answers."""
        store, key = self.server.store, request.key()
        if request.method == "GET" and key[2]:
            item = store.get(key)
            return (200, item) if item else (404, status_of(404, "NotFound", f"{key[0]} {key[2]} not found"))
        if request.method == "GET":
            return self.list(request)
        if request.method == "PATCH" and key[2]:
            return self.patch(request, key, identity)
        if request.method == "POST" and not key[2]:
            item = json.loads(request.body)
            name = item["metadata"].get("name") or item["metadata"].get("generateName", "") + uuid.uuid4().hex[:8]
            return 201, store.put((key[0], key[1], name), item)
        return 405, status_of(405, "MethodNotAllowed", "not here")

    def list(self, request, past=None):
        store, limit = self.server.store, int(request.query.get("limit") or 0)
        if request.query.get("continue"):
            number, start = json.loads(base64.urlsafe_b64decode(request.query["continue"]))
            version, items = self.server.pages[number]
        else:
            (version, items), start = past or store.list(request.wants()), 0
        page = items[start:start + limit] if limit else items
        meta = {"resourceVersion": str(version)}
        if start + len(page) < len(items):
            number = self.server.keep_pages(version, items)
            meta["continue"] = base64.urlsafe_b64encode(json.dumps([number, start + len(page)]).encode()).decode()
            meta["remainingItemCount"] = len(items) - start - len(page)
        if METADATA_ONLY in request.headers.get("accept", ""):
            page = [{"metadata": item["metadata"]} for item in page]
            return 200, {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": page}
        version_of, kind = KINDS[request.key()[0]]
        return 200, {"kind": kind + "List", "apiVersion": version_of, "metadata": meta, "items": page}

    def patch(self, request, key, identity):
        store = self.server.store
        patch = json.loads(request.body)
        with store.lock:
            was = store.get(key)
            if not was:
                return 404, status_of(404, "NotFound", f"{key[0]} {key[2]} not found")
            item = apply_json_patch(was, patch) if isinstance(patch, list) else merge(was, patch)
            if not item:
                return 422, status_of(422, "Invalid", "the test of a JSON patch failed")
            for name in ("uid", "resourceVersion"):
                if item["metadata"].get(name) != was["metadata"][name]:
                    return 409, status_of(409, "Conflict", f"precondition failed: {name} is {was['metadata'][name]}")
            denied = identity and self.deny(was, item, key, identity)
            if denied:
                return 422, status_of(422, "Invalid", "ValidatingAdmissionPolicy 'podveil-agent' denied request: " + denied)
            if request.query.get("dryRun") == "All" or item == was:
                return 200, item
            return 200, store.put(key, item)

    @staticmethod
    def deny(was, item, key, identity):
        """The decision of the admission policy of deploy/ on an agent's token."""
        old, new = (o["metadata"].get("annotations") or {} for o in (was, item))
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        if key[2] != identity:
            return "another node"
        if not changed <= AGENT_ANNOTATIONS:
            return f"other annotations: {sorted(changed - AGENT_ANNOTATIONS)}"
        kept = [t for t in was.get("spec", {}).get("taints") or [] if t.get("key") != AGENT_TAINT]
        taints = item.get("spec", {}).get("taints") or []
        return "" if taints in (kept, was.get("spec", {}).get("taints") or []) else "other taints"


# -- the server --

class Mercy:
    """Threads wait here until the faults are deleted."""

    def __init__(self):
        self.condition, self.count = threading.Condition(), 0

    def wait_for_next(self, seconds=None):
        with self.condition:
            count = self.count
            return self.condition.wait_for(lambda: self.count != count, seconds)

    def show(self):
        with self.condition:
            self.count += 1
            self.condition.notify_all()


class Server:
    def __init__(self, options):
        self.store, self.mercy, self.bookmarks = Store(), Mercy(), options.bookmarks
        self.lock = threading.Lock()
        self.faults, self.requests, self.tokens, self.pages = [], [], {}, {}
        self.connections = set()
        self.use_certificate(options.cert, options.key)

    def use_certificate(self, cert, key):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(cert, key)
        self.tls = tls

    def keep_pages(self, version, items):
        with self.lock:
            number = len(self.pages)
            self.pages[number] = (version, items)
            return number

    def note(self, connection, address, method, target, headers, length):
        with self.lock:
            self.requests.append({"ms": int(time.monotonic() * 1000), "connection": connection, "from": address,
                                  "method": method, "target": target, "status": 0, "length": length,
                                  "authorization": headers.get("authorization", ""), "accept": headers.get("accept", ""),
                                  "host": headers.get("host", "")})

    def note_status(self, connection, code):
        with self.lock:
            for request in reversed(self.requests):
                if request["connection"] == connection:
                    request["status"] = code
                    break

    def identify(self, request):
        """The token's node; "" if every client may do everything; None: 401."""
        if not self.tokens:
            return ""
        word, _, token = request.headers.get("authorization", "").partition(" ")
        return self.tokens.get(token) if word == "Bearer" else None

    def find_fault(self, request, address):
        with self.lock:
            for fault in self.faults:
                if re.search(fault.get("path", ""), request.target) and \
                        fault.get("method", request.method) == request.method and fault.get("from", address) == address:
                    fault["left"] -= 1
                    if not fault["left"]:
                        self.faults.remove(fault)
                    return fault["do"]
        return None

    def end_connections(self):
        with self.lock:
            for connection in self.connections:
                connection.end()

    def tell_watches(self, command):
        with self.store.lock:
            watches = [w for w in self.store.watches if re.search(command.get("path", ""), w.request.target)]
            if len(watches) < command.get("least", 0):
                return 0
            for watch in watches:
                watch.queue.put(command)
        return len(watches)

    def serve(self, address):
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        listener = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET,
                                        backlog=128)
        print(f"serving on port {listener.getsockname()[1]}", flush=True)
        number = 0
        while True:
            plain, peer = listener.accept()
            number += 1
            connection = Connection(self, plain, peer[0], number)
            with self.lock:
                self.connections.add(connection)
            connection.start()


# -- control --

class Control(http.server.BaseHTTPRequestHandler):
    api = None

    def address_string(self):
        return "control"

    def log_message(self, *_):
        pass

    def reply(self, item, code=200):
        body = json.dumps(item).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def key(self):
        parts = self.path.split("/")[2:]
        return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (parts[0], "", parts[1])

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")

    def do_GET(self):
        if self.path == "/requests":
            with self.api.lock:
                self.reply(list(self.api.requests))
        elif self.path.startswith("/objects/"):
            item = self.api.store.get(self.key())
            self.reply(item, 200 if item else 404)
        else:
            self.reply({"version": self.api.store.version, "watches": len(self.api.store.watches)})

    def do_PUT(self):
        self.reply(self.api.store.put(self.key(), self.body()))

    def do_DELETE(self):
        if self.path.startswith("/objects/"):
            self.reply(self.api.store.delete(self.key()))
            return
        with self.api.lock:
            self.api.faults.clear()
        self.api.mercy.show()
        self.reply({})

    def do_POST(self):
        command, api = self.body(), self.api
        if self.path == "/faults":
            command["left"] = command.get("times", 1)
            with api.lock:
                api.faults.append(command)
        elif self.path == "/watches":
            self.reply({"watches": api.tell_watches(command)})
            return
        elif self.path == "/tokens":
            api.tokens = command
        elif self.path == "/tls":
            api.use_certificate(command["cert"], command["key"])
            api.end_connections()
        elif self.path == "/fill":
            for i in range(command["nodes"]):
                api.store.put(("nodes", "", f"idle-{i}"), {"spec": {"podCIDRs": [f"10.245.{i // 256}.{i % 256}/32"]}})
        elif self.path in ("/compact", "/snapshot", "/restore"):
            getattr(api.store, self.path[1:])()
        else:
            self.reply({"error": "no such command"}, 404)
            return
        self.reply({})


class ControlServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    certificates = commands.add_parser("certificates")
    certificates.add_argument("folder")
    certificates.add_argument("address", nargs="*")
    serve = commands.add_parser("serve")
    for name in ("--listen", "--cert", "--key", "--control"):
        serve.add_argument(name, required=True)
    serve.add_argument("--bookmarks", type=float, default=60)
    options = parser.parse_args()
    if options.command == "certificates":
        make_certificates(options.folder, options.address)
        return
    Control.api = Server(options)
    control = ControlServer(options.control, Control)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    Control.api.serve(options.listen)


if __name__ == "__main__":
    main()
