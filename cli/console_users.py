"""`yolo-mlsam console`: users and API keys of the console."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.current_user import current_user
from cli.text_console import text_console
from mammo.access.roles import Role
from mammo.errors import InvalidAccess

console = typer.Typer(help="Users and API keys of the console and its HTTP API.", no_args_is_help=True)
user = typer.Typer(help="Users of the console.", no_args_is_help=True)
key = typer.Typer(help="API keys of programs.", no_args_is_help=True)
console.add_typer(user, name="user")
console.add_typer(key, name="key")

Name = Annotated[str, typer.Argument(help="Letters, digits and . _ @ + -")]
RoleOption = Annotated[
    Role,
    typer.Option(
        help="viewer reads; lead also works on readings and stages; administrator does everything.",
        show_default=False,
    ),
]


@user.command("add")
def add(
    name: Name,
    role: RoleOption,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="A user that only a trusted proxy logs in.")
    ] = False,
) -> None:
    """Add a user. The password is asked for, or read from standard input."""
    from mammo.site import Site

    with Site.load() as site:
        password = None if no_password else _read_password()
        site.access.users.add(name, role, password=password, actor=current_user())
    typer.echo(f"{name} added as {role}")


@user.command("password")
def password(name: Name) -> None:
    """Change a user's password, and end its sessions. The new one is asked for, or read from standard input."""
    from mammo.site import Site

    with Site.load() as site:
        site.access.users.change_password(name, _read_password(), actor=current_user())
    typer.echo(f"password of {name} changed; its sessions have ended")


@user.command("role")
def role_(name: Name, role: RoleOption) -> None:
    """Change a user's role, at once."""
    from mammo.site import Site

    with Site.load() as site:
        site.access.users.change_role(name, role, actor=current_user())
    typer.echo(f"{name} is {role} now")


@user.command("remove")
def remove(name: Name) -> None:
    """Remove a user, and end its sessions."""
    from mammo.site import Site

    with Site.load() as site:
        site.access.users.remove(name, actor=current_user())
    typer.echo(f"{name} removed")


@user.command("list")
def list_() -> None:
    """List the users."""
    from rich.table import Table

    from mammo.site import Site

    with Site.load() as site:
        users = site.access.users.all()
    table = Table("user", "role", "logs in", "since (UTC)")
    for each in users:
        how = "with a password" if each.has_password else "at a proxy"
        table.add_row(each.name, each.role, how, f"{each.created_at:%Y-%m-%d %H:%M}")
    text_console().print(table)


@key.command("add")
def add_key(name: Name, role: RoleOption) -> None:
    """Make a key, and print it: once, because only its hash is kept."""
    from mammo.site import Site

    with Site.load() as site:
        made = site.access.keys.add(name, role, actor=current_user())
    typer.echo(made)


@key.command("revoke")
def revoke(name: Name) -> None:
    """Revoke a key, at once."""
    from mammo.site import Site

    with Site.load() as site:
        site.access.keys.revoke(name, actor=current_user())
    typer.echo(f"{name} revoked")


@key.command("list")
def list_keys() -> None:
    """List the keys: names, roles and last uses."""
    from rich.table import Table

    from mammo.site import Site

    with Site.load() as site:
        keys, num_digests = site.access.keys.all(), len(site.settings.api_key_digests)
    table = Table("key", "role", "since (UTC)", "last used (UTC)")
    for each in keys:
        used = f"{each.used_at:%Y-%m-%d %H:%M}" if each.used_at else "never"
        table.add_row(each.name, each.role, f"{each.created_at:%Y-%m-%d %H:%M}", used)
    text_console().print(table)
    if num_digests:
        typer.echo(f"and {num_digests} of YOLO_MLSAM_API_KEYS, as administrator; remove them there")


def _read_password() -> str:
    """Return a password from the terminal, typed twice, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise InvalidAccess(
            "standard input holds no password; write it there, or start this command in a terminal"
        )
    return line
