{{- /* The aggregator's configuration file. */}}
{{- define "tributary.aggregator.config" -}}
{{- $config := deepCopy .Values.aggregator.config -}}
{{- $store := deepCopy .Values.store -}}
{{- if .Values.clickhousePassword.existingSecret -}}
{{- $clickhouse := merge (dict "passwordFile" (printf "/etc/tributary/clickhouse/%s" .Values.clickhousePassword.key)) ($store.clickhouse | default dict) -}}
{{- $_ := set $store "clickhouse" $clickhouse -}}
{{- end -}}
{{- $forward := dict -}}
{{- if .Values.forward.auth.enabled -}}
{{- $_ := set $forward "sharedKeyFile" "/etc/tributary/shared-key/shared-key" -}}
{{- end -}}
{{- if .Values.forward.tls.enabled -}}
{{- $tls := dict "certFile" "/etc/tributary/tls/tls.crt" "keyFile" "/etc/tributary/tls/tls.key" -}}
{{- if .Values.forward.tls.mutual -}}
{{- $_ := set $tls "caFile" "/etc/tributary/tls/ca.crt" -}}
{{- end -}}
{{- $_ := set $forward "tls" $tls -}}
{{- end -}}
{{- $managed := dict "dataDir" "/var/lib/tributary/aggregator" "store" $store "forward" $forward -}}
{{- mergeOverwrite $config $managed | toYaml -}}
{{- end }}

{{- define "tributary.aggregator.httpPort" -}}
{{ dig "http" "port" 3100 .Values.aggregator.config | int }}
{{- end }}

{{- define "tributary.aggregator.httpScheme" -}}
{{ dig "http" "tls" "certFile" "" .Values.aggregator.config | empty | ternary "http" "https" }}
{{- end }}

{{- define "tributary.aggregator.url" -}}
{{ include "tributary.aggregator.httpScheme" . }}://{{ include "tributary.aggregator.name" . }}.{{ .Release.Namespace }}.svc:{{ include "tributary.aggregator.httpPort" . }}
{{- end }}

{{- define "tributary.aggregator.forwardPort" -}}
{{ dig "forward" "port" 24224 .Values.aggregator.config | int }}
{{- end }}

{{- define "tributary.aggregator.syslogPort" -}}
{{ dig "syslog" "port" 1514 .Values.aggregator.config | int }}
{{- end }}

{{- /* Ports for senders beside Forward, as a list of name and protocol. */}}
{{- define "tributary.aggregator.syslogPorts" -}}
{{- $syslog := .Values.aggregator.config.syslog | default dict -}}
{{- $ports := list -}}
{{- if $syslog.enabled -}}
{{- $ports = append $ports (dict "name" "syslog" "protocol" "TCP") -}}
{{- if $syslog.udp -}}
{{- $ports = append $ports (dict "name" "syslog-udp" "protocol" "UDP") -}}
{{- end -}}
{{- end -}}
{{- toJson $ports -}}
{{- end }}

{{- /* Longer than loading into the store may go on; closing the embedded one takes a while after that. */}}
{{- define "tributary.aggregator.gracePeriod" -}}
{{- add .Values.aggregator.preStopSeconds (include "tributary.seconds" (dig "shutdown" "drain" "10s" .Values.aggregator.config)) 45 -}}
{{- end }}
