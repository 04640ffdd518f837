/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between the command line and podveil-keyd, on a SOCK_STREAM Unix socket (root only,
 * mode 0600). The client writes one line of JSON, {"verb":"status"}, and reads one JSON document
 * until the other end closes. An error is {"error":"<one line, with advice>"}. With -o json
 * the user gets the document unchanged, so these names are contracts; fields are added, never
 * renamed. Durations are seconds, times are RFC 3339 in UTC, keys base64.
 *
 * status:
 *   {"version":"<podveil version>","node":"n1","uid":"...","mode":"strict",
 *    "state":"protected"|"permissive"|"starting"|"degraded",
 *    "reasons":["<why it is not protected, one line each>"],"reason_kinds":["maps"],
 *    "reason_count":1,
 *    "warnings":["<one line each>"],"warning_kinds":["peer_record"],"warning_count":1,
 *    "registry":"kubernetes"|"file:/x","cluster_cidrs":["10.244.0.0/16"],
 *    "pod_cidrs":["10.244.1.0/24"],"endpoints":["192.168.50.1"],
 *    "port":51890,"interface":"podveil0","mtu":1440,
 *    "tunnel":{"is_connected":true,"pid":12|null,"peers":2},
 *    "datapath":{"mechanism":"tcx","uplinks":["eth0"],"pods":["pods0"]},
 *    "peers":{"total":2,"usable":2,"with_session":1,"refused":0},
 *    "traffic":{"to_tunnel":{"packets":0,"bytes":0},"from_tunnel":{"packets":0,"bytes":0}},
 *    "clear":{"out":{"packets":0,"bytes":0},"in":{"packets":0,"bytes":0}},
 *    "hooks":[{"device":"eth0","program":"to_wire",
 *      "state":"in_place"|"missing"|"not_first"|"unpinned","repairs":0}],
 *    "drops":[{"reason":"no_peer","packets":3,"text":"destination is ..."}]}
 *   Only "reasons" decide the state of this node. "warnings" do not: they name faults of other
 *   nodes, and choices for this one that protect less than podveil could. Beside each list
 *   are the kinds of its lines in the same order (the names of keyd/cluster/reason.c, for programs;
 *   the lines are for people), and the total count: a list is cut after 64 lines (warnings about
 *   other nodes after 64 of their own). State "permissive": only the mode keeps the node from being
 *   protected. "clear" counts permissive mode's cleartext to and from all nodes. "drops" has only
 *   counters above 0.
 *   "cluster_secret" is {"file":"/etc/podveil/secret","ids":["<16 hexadecimal digits>"|"none"],
 *   "accepts_none":false} or null. "pods_from" is "flag", "node" or "local". "mode" is "strict" or
 *   "permissive". "mode_from" is "registry" (the cluster's mode, which no command changes), "flag",
 *   "command" or "earlier agent" (which left it, and the registry has not given one yet).
 *   "except_cidrs" is a list like "cluster_cidrs". "registry_status" is null unless the registry is
 *   a server, else {"last_contact":"2026-11-22T12:00:00Z"|null,"away":"<empty, or why it cannot be
 *   used>","requests":12,"failures":0,"sent_bytes":0,"received_bytes":0}, counted since keyd's
 *   start and without TLS.
 *   "bypasses" lists the endpoints that are not tunnelled, and those that the registry lists but
 *   that are not in force:
 *     [{"endpoint":"10.0.0.1:6443","protocols":"tcp,udp"|"tcp",
 *       "source":"flag"|"account"|"registry"|"earlier agent",
 *       "state":"in force"|"kept"|"not reached yet"|"claimed by node n2"|"claimed by this node"}]
 *   Source "account": the address in keyd's own credentials. "earlier agent": an earlier agent
 *   proved it, this one has not yet. State "kept": in force but no longer listed, until all listed
 *   ones have been reached. "not reached yet", "claimed by ...": listed, but not in force.
 *
 * peers:
 *   {"peers":[{"node":"n2","id":1,"uid":"...","state":"usable"|"waiting"|"refused"|"excluded",
 *     "reason":"<empty, or why>","key":"<base64>","epoch":1795348800000,
 *     "endpoints":["192.168.50.2:51890"],"endpoint":"192.168.50.2:51890"|null,
 *     "pods":["10.244.2.0/24"],"addresses":["192.168.50.2"],"has_session":true,
 *     "last_handshake":"2026-11-22T12:00:00Z"|null,"last_received_age":1.5|null,
 *     "was_reached":true,"clear_out":{"packets":0,"bytes":0},"clear_in":{"packets":0,"bytes":0},
 *     "received_bytes":0,"sent_bytes":0,"to_tunnel":{"packets":0,"bytes":0},
 *     "from_tunnel":{"packets":0,"bytes":0}}]}
 *   "secret" is the id of the cluster secret that this node uses with the peer, "none", or empty
 *   if they have none in common.
 *   A peer is "waiting" until its node publishes a usable record, and "refused" if its record is
 *   bad. It is "excluded" instead of either if its node has that label: then no record is expected,
 *   and its pods are not reached. A "usable" peer with a reason continues with its last good
 *   record, or without a prefix or address that was refused; status counts it under "refused" too.
 *
 * key-status:
 *   {"keys":[{"node":"n1","is_self":true,"epoch":1795348800000,"age":12.0|null,
 *     "fingerprint":"<first 8 characters of the current key>",
 *     "state":"current"|"preparing"|"proving"|"overlapping"|"degraded"|"unknown"|"refused",
 *     "reason":"","next":"<fingerprint of the next key, empty if there is none>",
 *     "since":"2026-11-22T12:00:00Z"|null,"peers_proved":2|null,"peers_live":2|null,
 *     "time_left":118.0|null,"stragglers":["n3"]}]}
 *   preparing: the next key is being generated and published. proving: it is published, and live
 *   peers prove that they know it. overlapping: it became the current key, and the previous one
 *   still answers. degraded: the same after the overlap, because a straggler still needs the
 *   previous key. current: no rotation runs. "since" is the start of the state. "age" is that of
 *   the current key. For other nodes only the states of their records are known: current, proving
 *   or overlapping.
 *   "peers_proved" counts those of "peers_live" that have proved the key. A straggler is a live
 *   peer that has not, or that still needs the previous key. "time_left" is the time until the node
 *   promotes the next key, or wipes the previous one, without the stragglers. These three are of
 *   this node only, and null while no rotation runs.
 *
 * rotate-key {"verb":"rotate-key","revoke":false}: rotates this node's key. "revoke" ends the
 * previous key and all sessions made under it at once, which may lose packets.
 *   {"accepted":true,"is_merged":false,"epoch":1795348800000,
 *    "fingerprint":"<of the current key>"}
 *   is_merged: a rotation is already running, and serves this request too. Epoch and fingerprint
 *   are those before the rotation: a node has rotated once its fingerprint in key-status differs.
 *
 * rotate-all: asks every node of the registry to rotate, this one included; another node starts
 * when it sees the request.
 *   {"asked":[{"node":"n1","is_self":true,"epoch":1795348800000,"fingerprint":"..."}],
 *    "failed":[{"node":"n3","reason":"<why the registry did not store the request>"}]}
 *   Epoch 0 and an empty fingerprint: no usable record of that node is known.
 *
 * mode {"verb":"mode","mode":"strict"|"permissive"}: sets the mode until keyd restarts. An error if
 * the registry sets the mode of the whole cluster.
 *   {"mode":"strict","before":"permissive",
 *    "clear_peers":["<nodes that were never reached: strict cuts them off>"]}
 */
#pragma once

#include "version.h"

#define KEYD_REQUEST_MAX       4096
#define KEYD_ANSWER_MAX	       (64 * 1024 * 1024)

#define KEYD_DEFAULT_CONTROL   "/run/podveil/keyd.sock"
#define TUNNEL_DEFAULT_CONTROL "/run/podveil/tunnel.sock"
#define DEFAULT_BPFFS	       "/sys/fs/bpf/podveil"
#define DEFAULT_INTERFACE      "podveil0"
#define DEFAULT_PORT	       51890
#define DEFAULT_WIREGUARD_DIR  "/var/run/wireguard"
