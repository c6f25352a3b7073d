"""The commands of `smoothd` for keys: API keys, and the keys of the instance."""

from __future__ import annotations

from typing import Annotated

import typer

from smoothcore.v1 import api_key_pb2, identity_service_pb2
from smoothcore_server.api.messages import api_key
from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, Database
from smoothcore_server.cli.common import Config, DataDir, refuse_absent, run, with_database
from smoothcore_server.cli.operator_calls import refuse_invalid
from smoothcore_server.config import load_settings
from smoothcore_server.domain.principal import EVERYTHING

app = typer.Typer(
    help="API keys, and the keys of the instance: for its operator.", no_args_is_help=True
)


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Name for people.")],
    permission: Annotated[
        list[str] | None, typer.Option(help="What it may do; may be repeated. Default: everything.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role; may be repeated.")] = None,
    machine: Annotated[
        list[str] | None, typer.Option(help="A machine it is bound to; may be repeated.")
    ] = None,
    client: Annotated[str, typer.Option(help="Client name, recorded with its changes.")] = "",
    certificate_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DNS:NAME|URI:URI",
            help="Name in a client's certificate that stands for the key; may be repeated.",
        ),
    ] = None,
    organization: Annotated[str, typer.Option(help="Organization.")] = DEFAULT_ORGANIZATION,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make an API key and print it, once."""
    settings = load_settings(config, data_dir=data_dir)
    refuse_absent(settings)
    wanted = api_key_pb2.ApiKey(
        display_name=name,
        permissions=permission or ([] if role else [EVERYTHING]),
        roles=[f"roles/{each}" for each in role or []],
        machines=[f"machines/{each}" for each in machine or []],
        client=client,
        certificate_names=certificate_name or [],
    )
    refuse_invalid(identity_service_pb2.CreateApiKeyRequest(api_key=wanted))
    key = api_key.from_message(wanted)

    async def work(database: Database) -> str:
        await database.prepare()
        return await database.create_key(organization, key)

    print(run(with_database(settings, work)))


@app.command("rotate")
def rotate_keys(
    revoke: Annotated[
        bool,
        typer.Option(
            "--revoke",
            help="End at once what the old key has signed, because somebody else may have it.",
        ),
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Sign access tokens with a new key; servers that run take it up at once.

    What the old key has signed stays valid until it expires.
    """
    settings = load_settings(config, data_dir=data_dir)
    refuse_absent(settings)

    async def work(database: Database) -> str:
        await database.prepare()
        return await database.rotate_signing_keys(revoke=revoke)

    print(f"access tokens are signed with key {run(with_database(settings, work))} now")


@app.command("rewrap")
def rewrap_keys(config: Config = None, data_dir: DataDir = None) -> None:
    """Encrypt the data keys of all stored secrets with a new key-encryption key.

    The server may run. What is cut off is gone on with by the next run.
    """
    settings = load_settings(config, data_dir=data_dir)
    refuse_absent(settings)

    async def work(database: Database) -> tuple[int, int]:
        await database.prepare()
        return await database.rewrap_secrets()

    generation, count = run(with_database(settings, work))
    print(f"{count} secrets are wrapped with key {generation} now")
