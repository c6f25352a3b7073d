"""Addresses to listen on, and what is wrong with them.

gRPC binds with SO_REUSEPORT unless told otherwise, and ``localhost`` counts as bound when one of
its addresses is: a second server then starts silently and takes half of the calls. So every
address is tried with a plain socket before.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from smoothcore_server.transport.settings import ServerSettings

_UNIX = "unix:"
_LONGEST_PATH = 107
"""Bytes that fit into the address of a unix socket."""


class ListenError(Exception):
    """The server cannot listen as asked; the message tells the operator what to do."""


class BadAddressError(ListenError):
    """An address cannot be read."""


class InsecureListenError(ListenError):
    """An address that others can reach would be served without TLS."""


class PortInUseError(ListenError):
    """Somebody else listens there."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on."""

    text: str
    """As gRPC takes it."""
    host: str = ""
    port: int = 0
    path: Path | None = None
    """Of a unix socket."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False  # A name, or a wildcard such as "*".


def parse(text: str) -> Address:
    """Read ``host:port``, ``[::1]:port`` or ``unix:/path``. Raises BadAddressError."""
    if text.startswith(_UNIX):
        path = Path(text.removeprefix(_UNIX).removeprefix("//"))
        if not path.name:
            raise BadAddressError(f"{text!r} names no socket; write unix:/run/smoothd.sock")
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise BadAddressError(
                f"{text!r} is too long: the path of a socket may have {_LONGEST_PATH} bytes"
            )
        return Address(f"{_UNIX}{path}", path=path)
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise BadAddressError(
            f"{text!r} is no address to listen on; write 127.0.0.1:50051, [::1]:50051 or "
            "unix:/run/smoothd.sock"
        )
    return Address(text, host, int(port))


def check_secure(address: Address, *, has_tls: bool, insecure_listen: bool) -> None:
    """Raise InsecureListenError where API keys would cross a network in plain text."""
    if address.is_local or has_tls or insecure_listen:
        return
    raise InsecureListenError(
        f"{address.text} can be reached by others, and there is no TLS: API keys would travel in "
        "plain text. Set a TLS certificate and key, listen on 127.0.0.1, or set insecure_listen "
        "if a proxy or mesh in front does the encryption"
    )


def check_addresses(settings: ServerSettings, metrics_listen: str = "") -> None:
    """Raise ListenError for what would keep a server from listening, before anything is made."""
    for text in settings.listen:
        address = parse(text)
        check_secure(
            address,
            has_tls=settings.tls is not None,
            insecure_listen=settings.insecure_listen,
        )
        if not settings.reuse_port:
            ensure_free(address)
    for text in settings.gateway_listen:
        address = parse(text)
        if address.path is not None:
            raise BadAddressError(f"{text!r}: gateways show their certificates over TCP only")
        if not settings.reuse_port:
            ensure_free(address)
    if metrics_listen:
        ensure_free(parse(metrics_listen))


def ensure_free(address: Address) -> None:
    """Raise PortInUseError when somebody listens there, and ListenError when nobody can."""
    if address.path is not None:
        _ensure_socket_is_free(address.path)
    elif address.port:
        for family, endpoint in _endpoints(address):
            _try_to_bind(address, family, endpoint)


@contextmanager
def reserve(address: Address) -> Iterator[str]:
    """Keep a TCP port for the workers of this process, who share it; gives the address with its
    true port. The sockets are bound and never listen, so no connection comes to them.

    Raises ListenError.
    """
    port = address.port
    with ExitStack() as sockets:
        for family, endpoint in _endpoints(address):
            kept = sockets.enter_context(socket.socket(family, socket.SOCK_STREAM))
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            _set_v6only(kept, family, endpoint)
            try:
                kept.bind((endpoint[0], port))
            except OSError as error:
                _raise_for(address, error)
            port = port or kept.getsockname()[1]
        yield f"{address.text.rpartition(':')[0]}:{port}"


def _set_v6only(
    socket_: socket.socket, family: socket.AddressFamily, endpoint: tuple[str, int]
) -> None:
    """gRPC serves IPv4 too on the IPv6 wildcard."""
    if family == socket.AF_INET6:
        socket_.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(endpoint[0] != "::"))


def _endpoints(address: Address) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError:
        raise BadAddressError(f"{address.text}: the host {address.host} is unknown") from None
    return [(family, (str(where[0]), address.port)) for family, _, _, _, where in found]


def _try_to_bind(address: Address, family: socket.AddressFamily, endpoint: tuple[str, int]) -> None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As gRPC does, or connections that were closed a moment ago would be in the way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _set_v6only(probe, family, endpoint)
            probe.bind(endpoint)
            probe.listen(1)
    except OSError as error:
        _raise_for(address, error)


def _raise_for(address: Address, error: OSError) -> None:
    if error.errno == errno.EADDRINUSE:
        raise PortInUseError(
            f"another process listens on {address.text}; stop it, or listen on another port "
            f"(`ss -ltnp 'sport = :{address.port}'` shows which process it is)"
        ) from None
    if error.errno == errno.EACCES:
        raise ListenError(
            f"not allowed to listen on {address.text}; take a port above 1023"
        ) from None
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        if address.host == "localhost":
            return  # It often names ::1 on machines without IPv6; the other address will do.
        raise BadAddressError(f"{address.text}: this machine has no such address") from None
    raise ListenError(f"cannot listen on {address.text}: {os.strerror(error.errno or 0)}") from None


def _ensure_socket_is_free(path: Path) -> None:
    """gRPC removes a socket that is in its way, whoever listens on it."""
    if not path.parent.is_dir():
        raise BadAddressError(f"unix:{path}: there is no folder {path.parent}; create it")
    if not path.exists():
        return
    if not path.is_socket():
        raise BadAddressError(f"unix:{path}: there is a file of that name; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise PortInUseError(f"another process listens on unix:{path}; stop it first")
