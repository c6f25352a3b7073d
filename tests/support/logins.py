"""Users who log in."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import auth_service_pb2, identity_service_pb2
from tests.support.requests import PASSWORD, create_user
from tests.support.smooth import Caller

ORGANIZATION = "default"


async def add_user(
    admin: Caller, user_id: str, *roles: str, password: str = PASSWORD, **fields: Any
) -> str:
    """Add a user whose address has their id; gives their name."""
    request = create_user(user_id, *roles, password=password, **fields)
    return (await admin.identity.CreateUser(request)).name


def login(
    user_id: str, password: str = PASSWORD, organization: str = ORGANIZATION, request_id: str = ""
) -> auth_service_pb2.LoginRequest:
    """A request to log in as a user."""
    return auth_service_pb2.LoginRequest(
        organization=organization,
        email=f"{user_id}@example.com",
        password=password,
        request_id=request_id,
    )


def refresh(token: str, request_id: str = "") -> auth_service_pb2.RefreshTokenRequest:
    """A request for the next tokens."""
    return auth_service_pb2.RefreshTokenRequest(refresh_token=token, request_id=request_id)


def who() -> auth_service_pb2.WhoAmIRequest:
    """A request that any credential may make."""
    return auth_service_pb2.WhoAmIRequest()


def new_password(
    user: str, password: str, current: str = ""
) -> identity_service_pb2.ChangePasswordRequest:
    """A request to set a password."""
    return identity_service_pb2.ChangePasswordRequest(
        name=user, new_password=password, current_password=current
    )
