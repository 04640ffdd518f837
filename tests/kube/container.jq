# SPDX-License-Identifier: Apache-2.0
#
# The configuration of one container for runc, as containerd's CRI plugin makes it from the pod that kubelet gives it: from
# the DaemonSet as the API server has it, nothing of it told twice. Follows kubelet and containerd in what the API leaves
# open (default capabilities, masked paths, device rules, what RuntimeDefault allows). What it does not know it refuses.
#
#   --argjson pod        the pod template's spec     --arg container  its name        --argjson configmap  its data
#   --argjson hostpaths  {"<path of the host>": "<where it is for this node>"}        --argjson volumes    {"<name>": "<folder>"}
#   --slurpfile profile  the runtime's default for seccomp, as containers-common has it
#   --arg node, netns, rootfs, cgroup, run (the test's name), server and port (of the API)

def default_capabilities: ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
	"SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"];

# kubelet and containerd: ALL first, then what is added.
def capabilities: (.securityContext.capabilities // {}) as $wanted |
	(if $wanted.drop // [] | index("ALL") then [] else default_capabilities - ($wanted.drop // []) end) + ($wanted.add // []) |
	unique | map("CAP_" + .);

def environment: [.env[]? | .name as $name |
	if .value then .value
	elif .valueFrom.fieldRef.fieldPath == "spec.nodeName" then $node
	elif .valueFrom.configMapKeyRef then $configmap[.valueFrom.configMapKeyRef.key]
	else error("environment \($name): where from?") end | select(. != null) | "\($name)=\(.)"];

# A rule of the profile holds where the container has one of its capabilities and none of those it excludes.
def default_seccomp($held): $profile[0] | {
	defaultAction, defaultErrnoRet: (.defaultErrnoRet // 1), architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
	syscalls: [.syscalls[] |
		select((.includes.caps // []) as $caps | $caps == [] or ($caps - $held) != $caps) |
		select((.excludes.caps // []) - $held == (.excludes.caps // [])) |
		select(.includes.arches == null or (.includes.arches | index("amd64")) or (.includes.arches | index("arm64"))) |
		{names, action, args: [.args[]? | {index, value, valueTwo, op}]} + (if .errnoRet then {errnoRet} else {} end)]};

def seccomp_of($held): (.securityContext.seccompProfile // $pod.securityContext.seccompProfile // {type: "Unconfined"}).type |
	if . == "RuntimeDefault" then {seccomp: default_seccomp($held)}
	elif . == "Unconfined" then {}
	else error("seccomp profile \(.): who has it?") end;

def default_mounts: [
	{destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]},
	{destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"]},
	{destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
	{destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]},
	{destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
	{destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]}];

def volume($name): [$pod.volumes[] | select(.name == $name)][0] |
	if .hostPath then $hostpaths[.hostPath.path] // error("the host has no \(.hostPath.path)")
	else $volumes[$name] // error("volume \($name): what is in it?") end;

def volume_mounts: [.volumeMounts[]? | {destination: .mountPath, type: "bind", source: volume(.name),
	options: ["rbind", (if .readOnly then "ro" else "rw" end),
		({"null": "rprivate", None: "rprivate", HostToContainer: "rslave", Bidirectional: "rshared"}["\(.mountPropagation)"])]}];

def namespaces: [{type: "mount"}, {type: "ipc"}] + (if $pod.hostPID then [] else [{type: "pid"}] end) +
	(if $pod.hostNetwork then [] else error("expected hostNetwork") end) +
	[{type: "network", path: $netns}, {type: "uts"}]; # the node's, as the host's would be

([$pod.containers[], $pod.initContainers[]?] | map(select(.name == $container))[0] // error("no container \($container)")) |
if .securityContext.privileged then error("\($container) is privileged") else . end |
capabilities as $held |
{
	ociVersion: "1.0.2",
	hostname: $node,
	root: {path: $rootfs, readonly: (.securityContext.readOnlyRootFilesystem // false)},
	process: {
		terminal: false, cwd: "/", user: {uid: 0, gid: 0},
		args: (.command + (.args // [])),
		env: (["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "KUBERNETES_SERVICE_HOST=\($server)",
			"KUBERNETES_SERVICE_PORT=\($port)", "PODVEIL_RUN=\($run)"] + environment),
		capabilities: {bounding: $held, effective: $held, permitted: $held},
		noNewPrivileges: (.securityContext.allowPrivilegeEscalation == false),
		rlimits: [{type: "RLIMIT_MEMLOCK", soft: 65536, hard: 65536}] # as low as runtimes have it
	},
	mounts: (default_mounts + volume_mounts),
	linux: ({
		namespaces: namespaces, cgroupsPath: $cgroup,
		resources: {devices: [{allow: false, access: "rwm"}]}, # runc adds what every container has, /dev/net/tun among it
		maskedPaths: ["/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
			"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"],
		readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
	} + seccomp_of($held))
}
