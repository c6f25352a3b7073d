"""The server of Smooth Core. The composition root is `smoothcore_server.bootstrap`."""
