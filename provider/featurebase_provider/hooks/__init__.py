"""The hook, and the connection that it uses by default."""

DEFAULT_CONN_ID = "featurebase_default"
