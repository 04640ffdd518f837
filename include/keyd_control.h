/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words between the command line and podveil-keyd: a SOCK_STREAM Unix socket (root only, mode 0600). The client
 * writes one line of JSON, {"verb":"status"}, and reads one JSON document until the other end closes. An error is
 * {"error":"<one line that says what to do>"}. With -o json the document goes to the user as it is, so these names
 * are contracts; fields are added, never renamed. Durations are seconds, times are RFC 3339 in UTC, keys base64.
 *
 * status:
 *   {"version":"<podveil version>","node":"n1","uid":"...","mode":"strict","state":"protected"|"permissive"|"starting"|"degraded",
 *    "reasons":["<why it is not protected, one line each>"],"reason_kinds":["maps"],"reason_count":1,
 *    "warnings":["<one line each>"],"warning_kinds":["peer_record"],"warning_count":1,
 *    "registry":"kubernetes"|"file:/x","cluster_cidrs":["10.244.0.0/16"],"pod_cidrs":["10.244.1.0/24"],"endpoints":["192.168.50.1"],
 *    "port":51890,"interface":"podveil0","mtu":1440,
 *    "tunnel":{"is_connected":true,"pid":12|null,"peers":2},
 *    "datapath":{"mechanism":"tcx","uplinks":["eth0"],"pods":["pods0"]},
 *    "peers":{"total":2,"usable":2,"with_session":1,"refused":0},
 *    "traffic":{"to_tunnel":{"packets":0,"bytes":0},"from_tunnel":{"packets":0,"bytes":0}},
 *    "clear":{"out":{"packets":0,"bytes":0},"in":{"packets":0,"bytes":0}},           (permissive: to and from all nodes)
 *    "hooks":[{"device":"eth0","program":"to_wire","state":"in_place"|"missing"|"not_first"|"unpinned","repairs":0}],
 *    "drops":[{"reason":"no_peer","packets":3,"text":"destination lies ..."}]}      (only those above 0)
 *   "reasons" are this node's own and alone decide its state. "warnings" decide nothing: they name what is wrong with
 *   other nodes, and what was wanted so and is still less than podveil could do. Each list has beside it the kinds of its
 *   lines in the same order (the names of keyd/cluster/reason.c, for programs; the lines themselves are for people), and the count
 *   of all: a list ends after 64 lines (warnings about other nodes after 64 of their own). "cluster_secret" is
 *   {"file":"/etc/podveil/secret","ids":["<16 hexadecimal digits>"|"none"],"accepts_none":false} or null; "pods_from" is
 *   "flag", "node" or "local". A state "permissive" means that the mode is all that keeps the node from being protected.
 *   "mode_from" is "registry" (the cluster's mode, which no command changes), "flag", "command" or "earlier agent" (which
 *   left it, and the registry has not said yet). "registry_status" is null for a registry that is no server, or
 *   {"last_contact":"2026-11-22T12:00:00Z"|null,"away":"<empty, or why it cannot be used>","requests":12,"failures":0,
 *    "sent_bytes":0,"received_bytes":0}, counted since keyd's start and without TLS. "mode" is "strict" or "permissive"; except_cidrs is a list like cluster_cidrs.
 *   "bypasses" lists the endpoints that stay outside the tunnel, and those that the registry lists and that do not:
 *     [{"endpoint":"10.0.0.1:6443","protocols":"tcp,udp"|"tcp","source":"flag"|"account"|"registry"|"earlier agent",
 *       "state":"in force"|"kept"|"not reached yet"|"claimed by node n2"|"claimed by this node"}]
 *   "account": where keyd's own account leads. "earlier agent": this one has no proof of its own. "kept": in force, and listed
 *   no more, until all that are listed were reached. "not reached yet", "claimed by ...": listed, and not in force.
 *
 * peers:
 *   {"peers":[{"node":"n2","id":1,"uid":"...","state":"usable"|"waiting"|"refused"|"excluded","reason":"<empty, or why>",
 *     "key":"<base64>","epoch":1795348800000,"endpoints":["192.168.50.2:51890"],"endpoint":"192.168.50.2:51890"|null,
 *     "pods":["10.244.2.0/24"],"addresses":["192.168.50.2"],"has_session":true,
 *     "last_handshake":"2026-11-22T12:00:00Z"|null,"last_received_age":1.5|null,
 *     "was_reached":true,"clear_out":{"packets":0,"bytes":0},"clear_in":{"packets":0,"bytes":0},
 *     "received_bytes":0,"sent_bytes":0,"to_tunnel":{"packets":0,"bytes":0},"from_tunnel":{"packets":0,"bytes":0}}]}
 *   "secret" is the id of the cluster secret by which the node is talked to, "none", or empty where there is none in common.
 *   A peer is "waiting" while its node has published nothing usable yet, "refused" when what it published is bad, and
 *   "excluded" in both cases where its node is labelled so: nothing is expected of it, and its pods are not reached.
 *   A "usable" one with a reason goes on under its last good record, or without the prefix or address that was refused;
 *   status counts it under "refused" too.
 *
 * key-status:
 *   {"keys":[{"node":"n1","is_self":true,"epoch":1795348800000,"age":12.0|null,"fingerprint":"<first 8 characters of
 *     the current key>","state":"current"|"preparing"|"proving"|"overlapping"|"degraded"|"unknown"|"refused","reason":"",
 *     "next":"<fingerprint of the next key, empty where there is none>","since":"2026-11-22T12:00:00Z"|null,
 *     "peers_proved":2|null,"peers_live":2|null,"time_left":118.0|null,"stragglers":["n3"]}]}
 *   preparing: the next key is made and published. proving: it is published, and live peers prove that they know it.
 *   overlapping: it became the current key, and the previous one still answers. degraded: the same beyond the overlap,
 *   because a straggler still needs the previous key. current: none of these. `since` is when the state began. Of other
 *   nodes only what their records say is known: current, proving or overlapping. `age` is that of the current key.
 *   peers_proved of peers_live (who is live and has not proved, or still needs the previous key, is a straggler), and
 *   time_left (until the node promotes, or wipes the previous key, without the stragglers) are of this node alone, and
 *   null where no rotation runs.
 *
 * rotate-key {"verb":"rotate-key","revoke":false}: this node rotates; "revoke" ends the previous key and all sessions
 * made under it at once, which may lose packets.
 *   {"accepted":true,"is_merged":false,"epoch":1795348800000,"fingerprint":"<of the current key>"}
 *   is_merged: a rotation runs already, and serves this request too. Epoch and fingerprint are those before: a node has
 *   rotated as soon as its fingerprint in key-status is another.
 *
 * rotate-all: asks every node of the registry, this one included; the others begin when they see it.
 *   {"asked":[{"node":"n1","is_self":true,"epoch":1795348800000,"fingerprint":"..."}],
 *    "failed":[{"node":"n3","reason":"<why the request could not be left in the registry>"}]}
 *   Epoch 0 and an empty fingerprint: nothing usable of that node is known.
 *
 * mode {"verb":"mode","mode":"strict"|"permissive"}: from now on, until keyd starts anew. An error where the registry says
 * which mode the whole cluster has.
 *   {"mode":"strict","before":"permissive","clear_peers":["<nodes that were never reached: strict cuts them off>"]}
 */
#pragma once

#define KEYD_REQUEST_MAX       4096
#define KEYD_ANSWER_MAX	       (64 * 1024 * 1024)

#define PODVEIL_VERSION	       "0.1.0"
#define KEYD_DEFAULT_CONTROL   "/run/podveil/keyd.sock"
#define TUNNEL_DEFAULT_CONTROL "/run/podveil/tunnel.sock"
#define DEFAULT_BPFFS	       "/sys/fs/bpf/podveil"
#define DEFAULT_INTERFACE      "podveil0"
#define DEFAULT_PORT	       51890
#define DEFAULT_WIREGUARD_DIR  "/var/run/wireguard"
