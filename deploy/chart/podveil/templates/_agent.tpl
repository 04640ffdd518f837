{{- /*
SPDX-License-Identifier: Apache-2.0

The two containers and their volumes. Why each line is there says deploy/base/daemonset.yaml.
*/ -}}

{{- define "podveil.agent" -}}
containers:
  - name: tunnel
    image: {{ include "podveil.image" . }}
    {{- if ne .Values.image.pullPolicy "IfNotPresent" }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    {{- end }}
    command: [podveil-tunnel]
    env:
      {{- range list "log-level" "log-format" }}
      {{- include "podveil.variable" . | nindent 6 }}
      {{- end }}
    resources:
      {{- toYaml .Values.tunnel.resources | nindent 6 }}
    securityContext:
      {{- include "podveil.hardened" . | nindent 6 }}
      capabilities:
        drop: [ALL]
        add: [NET_ADMIN, IPC_LOCK, SETUID, SETGID, SETPCAP, KILL]
    volumeMounts:
      - name: run
        mountPath: /run/podveil
      - name: wireguard
        mountPath: /run/wireguard
      - name: tun
        mountPath: /dev/net/tun
  - name: keyd
    image: {{ include "podveil.image" . }}
    {{- if ne .Values.image.pullPolicy "IfNotPresent" }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    {{- end }}
    command: [podveil-keyd]
    env:
      - name: PODVEIL_NODE
        valueFrom:
          fieldRef: {fieldPath: spec.nodeName}
      - name: PODVEIL_REGISTRY
        value: kubernetes
      - name: PODVEIL_BPFFS
        value: /bpf
      {{- range list "mode" "cluster-cidr" "except-cidr" "pod-cidrs-from" "uplink" "bypass" "port" "rotate-every" "overlap" "overlap-strict" "require-admission" "log-level" "log-format" }}
      {{- include "podveil.variable" . | nindent 6 }}
      {{- end }}
      {{- if .Values.encryption.secretName }}
      - name: PODVEIL_CLUSTER_SECRET
        value: /etc/podveil/secret
      {{- end }}
      {{- with .Values.k8sServiceHost }}
      - name: KUBERNETES_SERVICE_HOST
        value: {{ . | quote }}
      {{- end }}
      {{- with .Values.k8sServicePort }}
      - name: KUBERNETES_SERVICE_PORT
        value: {{ . | quote }}
      {{- end }}
    resources:
      {{- toYaml .Values.keyd.resources | nindent 6 }}
    readinessProbe:
      exec:
        command: [podveil, status]
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 1
    startupProbe:
      exec:
        command: [podveil, peers]
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 60
    livenessProbe:
      exec:
        command: [podveil, peers]
      periodSeconds: 30
      timeoutSeconds: 15
      failureThreshold: 4
    securityContext:
      {{- include "podveil.hardened" . | nindent 6 }}
      capabilities:
        drop: [ALL]
        add: [NET_ADMIN, SYS_ADMIN]
    volumeMounts:
      - name: run
        mountPath: /run/podveil
      - name: bpf
        mountPath: /bpf
      - name: account
        mountPath: /var/run/secrets/kubernetes.io/serviceaccount
        readOnly: true
      {{- if .Values.encryption.secretName }}
      - name: secret
        mountPath: /etc/podveil
        readOnly: true
      {{- end }}
volumes:
  - name: run
    hostPath:
      path: /run/podveil
      type: DirectoryOrCreate
  - name: wireguard
    hostPath:
      path: /run/wireguard
      type: DirectoryOrCreate
  - name: tun
    hostPath:
      path: /dev/net/tun
      type: CharDevice
  - name: bpf
    hostPath:
      path: /sys/fs/bpf/podveil
      type: DirectoryOrCreate
  - name: account
    projected:
      defaultMode: 0400
      sources:
        - serviceAccountToken: {path: token, expirationSeconds: 3607}
        - configMap:
            name: kube-root-ca.crt
            items: [{key: ca.crt, path: ca.crt}]
        - downwardAPI:
            items:
              - path: namespace
                fieldRef: {fieldPath: metadata.namespace}
  {{- with .Values.encryption.secretName }}
  - name: secret
    secret:
      secretName: {{ . }}
      defaultMode: 0400
      items: [{key: secret, path: secret}]
  {{- end }}
{{- end }}

{{- /* As deploy/overlays/uninstall. */ -}}
{{- define "podveil.uninstall" -}}
initContainers:
  - name: cleanup
    image: {{ include "podveil.image" . }}
    command: [podveil, cleanup, --bpffs, /bpf/podveil]
    securityContext:
      {{- include "podveil.hardened" . | nindent 6 }}
      capabilities:
        drop: [ALL]
        add: [NET_ADMIN, SYS_ADMIN]
    volumeMounts:
      - name: bpf
        mountPath: /bpf
containers:
  - name: rest
    image: {{ .Values.pause.image }}
    securityContext:
      {{- include "podveil.hardened" . | nindent 6 }}
      capabilities:
        drop: [ALL]
volumes:
  - name: bpf
    hostPath:
      path: /sys/fs/bpf
      type: Directory
{{- end }}
