# The OpenBao agent of docker-compose.yaml: it keeps the receiver's file equal to what OpenBao holds.
vault {
  address = "http://127.0.0.1:8200"
}

auto_auth {
  method {
    type   = "token_file"
    config = { token_file_path = "/run/secrets/openbao-token" }
  }
}

template_config {
  static_secret_render_interval = "1s"
}

template {
  destination = "/opt/airflow/shared/webhook.env"
  perms       = "0600"
  contents    = <<-EOT
    {{ with secret "secret/data/apps/feedback" -}}
    FEATUREBASE_WEBHOOK_SECRET={{ .Data.data.FEATUREBASE_WEBHOOK_SECRET }}
    {{ with .Data.data.FEATUREBASE_WEBHOOK_SECRET_PREVIOUS }}FEATUREBASE_WEBHOOK_SECRET_PREVIOUS={{ . }}{{ end }}
    {{- end }}
  EOT
}
