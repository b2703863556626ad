{{- /* Secrets named by `secrets`, as mounts and as volumes. */}}
{{- define "tributary.secretMounts" -}}
{{- range . }}
- name: secret-{{ . }}
  mountPath: /etc/tributary/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "tributary.secretVolumes" -}}
{{- range . }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{- /* For pods that need nothing of the node. */}}
{{- define "tributary.nobody" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "tributary.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Where Node keeps what it compiled: the root is read-only. */}}
{{- define "tributary.compileCache" -}}
- name: NODE_COMPILE_CACHE
  value: /tmp/node-compile-cache
{{- end }}

{{- /* Seconds of a duration such as 1m30s, rounded up. */}}
{{- define "tributary.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 "w" 604800.0 -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|s|m|h|d|w)" (toString .) -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $seconds = addf $seconds (mulf (float64 (trimSuffix $unit .)) (get $units $unit)) -}}
{{- end -}}
{{- ceil $seconds | int -}}
{{- end }}
