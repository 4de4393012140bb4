"""People who sign in. The first admin is let in on the machine itself; the rest goes through the API."""

import argparse
import asyncio
import sys

from rich.table import Table

from cli.connected import connected, console
from cli.settings import load_settings
from core import audit, keys, schema, users
from core.audit import Happened
from core.database import DatabaseClock, connect, is_passing
from core.errors import NotFound, WaqtorError
from core.roles import ROLE_NAMES
from core.settings import Settings
from waqtor import Client, User


def add_users(to: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The commands below `waqtor users`."""
    own = to.add_parser("invite-admin", help="a one-time link with which you make an account for an admin")
    own.set_defaults(run=invite_admin)
    to.add_parser("list", help="everybody who has an account").set_defaults(run=users_list)
    inviting = to.add_parser("invite", help="a one-time link for somebody to make an account")
    inviting.add_argument("email")
    inviting.add_argument("--role", choices=ROLE_NAMES, default="user")
    inviting.set_defaults(run=users_invite)
    changing = to.add_parser("role", help="change what somebody may do")
    changing.add_argument("email")
    changing.add_argument("role", choices=ROLE_NAMES)
    changing.set_defaults(run=users_role)
    for name, help_text, run in (
        ("reset-link", "a one-time link for a new password", users_reset_link),
        ("totp-off", "take away the second factor of somebody whose phone is lost", users_totp_off),
        ("disable", "sign somebody out and keep them out", users_disable),
        ("enable", "let somebody in again", users_enable),
        ("sign-out", "end all sign-ins of somebody", users_sign_out),
    ):
        one = to.add_parser(name, help=help_text, description=help_text)
        one.add_argument("email")
        one.set_defaults(run=run)


def invite_admin(_: argparse.Namespace) -> int:
    settings = load_settings()
    token = asyncio.run(_invitation(settings, only_first=False))
    print(settings.link(token or ""))  # alone on stdout
    console.print("Open it in a browser within 7 days. It works once.")
    return 0


def welcome(settings: Settings) -> None:
    """Where nobody can sign in yet, say how. The link is for a person at the terminal: a log must not keep it. What
    makes the installation unfit is left for its processes to tell."""
    try:
        if sys.stdout.isatty():
            link = first_link(settings)
            if link:
                print(f"Nobody can sign in yet. Make an account for an admin: {link}")
    except WaqtorError:
        return
    except Exception as error:
        if not is_passing(error):
            raise


def first_link(settings: Settings) -> str | None:
    """The link with which the first person makes an account; None where somebody has one."""
    token = asyncio.run(_invitation(settings, only_first=True))
    return settings.link(token) if token else None


async def _invitation(settings: Settings, *, only_first: bool) -> str | None:
    key = keys.load(settings.key_file)
    database = connect(settings)
    try:
        await schema.require_current(database)
        async with database.transaction() as tx:
            now = await DatabaseClock().now(tx)
            token = await users.first_admin(tx, at=now)
            if token is None and not only_first:
                token = await users.invite(tx, role="admin", at=now)
            if token is not None:
                audit.record(tx, key, Happened(audit.TERMINAL, "invite_admin"), at=now)
        return token
    finally:
        await database.close()


def users_list(_: argparse.Namespace) -> int:
    table = Table("id", "e-mail", "name", "role", "state", "second factor", "last sign-in")
    with connected() as client:
        for user in client.users.list():
            last = f"{user.last_sign_in_at:%Y-%m-%d %H:%M} UTC" if user.last_sign_in_at else ""
            factor = "yes" if user.has_second_factor else "no"
            table.add_row(str(user.id), user.email, user.name, user.role, user.state, factor, last)
    console.print(table if table.row_count else "Nobody has an account yet: waqtor users invite-admin")
    return 0


def users_invite(asked: argparse.Namespace) -> int:
    with connected() as client:
        print(client.users.invite(asked.email, role=asked.role).link)
    return 0


def users_role(asked: argparse.Namespace) -> int:
    with connected() as client:
        changed = client.users.change(_whose(client, asked.email).id, role=asked.role)
    console.print(f"{changed.email} has the role {changed.role}.")
    return 0


def users_reset_link(asked: argparse.Namespace) -> int:
    with connected() as client:
        print(client.users.reset_link(_whose(client, asked.email).id).link)
    return 0


def users_totp_off(asked: argparse.Namespace) -> int:
    with connected() as client:
        client.users.drop_second_factor(_whose(client, asked.email).id)
    console.print(f"{asked.email} signs in by password alone now.")
    return 0


def users_disable(asked: argparse.Namespace) -> int:
    with connected() as client:
        client.users.change(_whose(client, asked.email).id, disabled=True)
    console.print(f"{asked.email} is signed out and stays out.")
    return 0


def users_enable(asked: argparse.Namespace) -> int:
    with connected() as client:
        client.users.change(_whose(client, asked.email).id, disabled=False)
    console.print(f"{asked.email} may sign in again.")
    return 0


def users_sign_out(asked: argparse.Namespace) -> int:
    with connected() as client:
        number = client.users.sign_out(_whose(client, asked.email).id).ended
    console.print(f"{number} sign-ins of {asked.email} are ended.")
    return 0


def _whose(client: Client, email: str) -> User:
    wanted = email.strip().casefold()
    found = next((user for user in client.users.list() if user.email == wanted), None)
    if found is None:
        raise NotFound(f"There is no account for {email}.", hint="waqtor users list")
    return found
