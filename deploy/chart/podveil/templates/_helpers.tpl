{{- /*
SPDX-License-Identifier: Apache-2.0

Parts that several objects share.
*/ -}}

{{- define "podveil.labels" -}}
app.kubernetes.io/name: podveil
{{- end }}

{{- define "podveil.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* A variable from the ConfigMap; a missing key leaves the default of the program. */ -}}
{{- define "podveil.variable" -}}
- name: PODVEIL_{{ . | upper | replace "-" "_" }}
  valueFrom:
    configMapKeyRef: {name: podveil, key: {{ . }}, optional: true}
{{- end }}

{{- define "podveil.hardened" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
{{- end }}

{{- define "podveil.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ .Values.serviceAccount.name }}
    namespace: {{ .Release.Namespace }}
{{- end }}
