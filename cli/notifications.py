"""`yolo-mlsam notifications`: who is notified of what, a test, and the delivery log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.text_console import text_console

if TYPE_CHECKING:
    from mammo.notifications import Kind

notifications = typer.Typer(
    help="Tell people what happens, by webhook, e-mail or in Label Studio.", no_args_is_help=True
)

Number = Annotated[int, typer.Argument(metavar="CHANNEL", help="Number of the channel.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@notifications.command()
def add(
    webhook: Annotated[str, typer.Option(help="Address of a webhook that holds no secret.")] = "",
    webhook_file: Annotated[
        typer.FileText | None,
        typer.Option(help="File with the address of a webhook, which may hold a secret; - for stdin."),
    ] = None,
    email: Annotated[str, typer.Option(help="E-mail address.")] = "",
    note: Annotated[
        bool, typer.Option("--note", help="The model's note on the tasks that are predicted next.")
    ] = False,
    project: Annotated[
        int | None, typer.Option(help="Only of this project, and of the whole site.", min=1)
    ] = None,
    topics: Annotated[
        str,
        typer.Option(
            help="Comma-separated: run-finished, run-failed, run-refused, promoted, rolled-back, sent-back, "
            "corrections-stopped, disk-nearly-full; default: all."
        ),
    ] = "",
    quiet_days: Annotated[
        int, typer.Option(help="Days without a correction until corrections-stopped.", min=1, max=365)
    ] = 7,
) -> None:
    """Add a channel: one webhook, e-mail address or note."""
    from cli.current_user import current_user
    from mammo.notifications import NewChannel
    from mammo.site import Site

    kind, target = _target(webhook=webhook, webhook_file=webhook_file, email=email, note=note)
    with Site.load() as site:
        new = NewChannel(
            kind=kind,
            target=target,
            project=project,
            topics=tuple(each.strip() for each in topics.split(",") if each.strip()),
            quiet_days=quiet_days,
        )
        channel = site.notifications.add(new, actor=current_user())
    place = "all projects" if project is None else f"project {project}"
    text = f"channel {channel.id}: {channel.kind} {channel.shown}".rstrip()
    typer.echo(f"{text}, {place}: {', '.join(channel.topics)}")
    if kind == "webhook":
        typer.echo(f"its receiver needs the key: yolo-mlsam notifications key {channel.id} --out FILE")
    typer.echo(f"try it: yolo-mlsam notifications test {channel.id}")


@notifications.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the channels. Of a webhook's address only scheme, host and port are shown."""
    from rich.table import Table

    from mammo.site import Site

    with Site.load() as site:
        channels = site.notifications.channels.all()
    console = text_console(soft_wrap=as_json)
    if as_json:
        console.print_json(data=[each.to_json() for each in channels])
        return
    table = Table("channel", "kind", "to", "project", "topics", "added by")
    for each in channels:
        project = "all" if each.project is None else str(each.project)
        table.add_row(str(each.id), each.kind, each.shown, project, ", ".join(each.topics), each.actor)
    console.print(table)


@notifications.command()
def remove(number: Number) -> None:
    """Remove a channel. What waits for it is not sent; the log stays."""
    from cli.current_user import current_user
    from mammo.site import Site

    with Site.load() as site:
        channel = site.notifications.channels.remove(number, actor=current_user())
    typer.echo(f"channel {channel.id} is removed: {channel.kind} {channel.shown}".rstrip())


@notifications.command()
def key(
    number: Number,
    out: Annotated[Path, typer.Option(help="New file for the key, which only its owner can open.")],
) -> None:
    """Write the key with which a webhook's receiver verifies signatures. It is never printed."""
    from mammo.errors import InvalidChannel
    from mammo.site import Site

    with Site.load() as site:
        written = site.notifications.written_key(site.notifications.channels.get(number))
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidChannel(f"{out} cannot be created: {error.strerror}; name a new file") from None
    with open(handle, "w", encoding="ascii") as file:
        file.write(written + "\n")
    typer.echo(f"key of channel {number} in {out}")


@notifications.command()
def test(number: Number) -> None:
    """Send a test to a channel now. Exit code 1: it was not taken."""
    from mammo.site import Site

    with Site.load() as site:
        message = site.notifications.test(number)
    if message.state != "delivered":
        typer.echo(f"channel {number}: not delivered: {message.problem}", err=True)
        raise typer.Exit(1)
    typer.echo(f"channel {number}: delivered, message {message.message}")


@notifications.command()
def log(
    channel: Annotated[int | None, typer.Option(help="Only of this channel.", min=1)] = None,
    limit: Annotated[int, typer.Option(help="Maximum number of messages.", min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List messages, newest first: when each was delivered, or why not and when it is tried again."""
    from rich.table import Table

    from mammo.site import Site

    with Site.load() as site:
        messages = site.notifications.outbox.newest(channel=channel, limit=limit)
    console = text_console(soft_wrap=as_json)
    if as_json:
        console.print_json(data=[each.to_json() for each in messages])
        return
    table = Table("made", "channel", "topic", "project", "state", "attempts", "next attempt", "problem")
    for each in messages:
        table.add_row(
            f"{each.created_at:%Y-%m-%d %H:%M:%S}",
            str(each.channel),
            each.topic,
            "-" if each.project is None else str(each.project),
            each.state,
            str(each.attempts),
            f"{each.due_at:%m-%d %H:%M:%S}" if each.due_at else "",
            each.problem or "",
        )
    console.print(table)


def _target(*, webhook: str, webhook_file: typer.FileText | None, email: str, note: bool) -> tuple[Kind, str]:
    """Return kind and address of a new channel; raises BadParameter: there is not exactly one."""
    if sum((bool(webhook), webhook_file is not None, bool(email), note)) != 1:
        raise typer.BadParameter("give one of --webhook, --webhook-file, --email and --note")
    if email:
        return "email", email
    if note:
        return "note", ""
    if webhook_file is None:
        if "?" in webhook or "@" in webhook:
            raise typer.BadParameter(
                "every user of this machine sees a command's arguments: write an address with a query or a password "
                "into a file, and give it with --webhook-file"
            )
        return "webhook", webhook
    try:
        return "webhook", webhook_file.read(4096).strip()
    except UnicodeDecodeError:
        raise typer.BadParameter("the file with the address of the webhook is not UTF-8") from None
