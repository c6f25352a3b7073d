"""How bytes come in: server, interceptors, health, drain, TLS."""
