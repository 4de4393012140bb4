"""`waqtor`: one command for operators. Imports wait until a command needs them, so that `--help` is instant."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cli import installation, remote, webhooks
from cli.audit import audit_verify
from cli.canaries import add_go_on, campaigns_canary, campaigns_go_on
from cli.chats import add_list, add_show, chats_list, chats_show
from cli.contacts import add_import, contacts_import
from cli.events import add_follow, events_follow
from cli.media import add_get, add_upload, media_delete, media_get, media_list, media_upload
from cli.messages import add_send, add_test, campaigns_test, messages_send, messages_show
from cli.notifications import add_filters, add_read, notifications_list, notifications_read
from cli.schedules import add_schedule, campaigns_occurrences, campaigns_schedule, campaigns_unschedule
from cli.segments import segments_count, segments_create, segments_list
from cli.settings import load_settings
from cli.templates import add_preview, templates_list, templates_preview, templates_show, templates_sync
from cli.users import add_users, welcome
from cli.variants import add_choose, campaigns_choose, campaigns_variants
from cli.webhook_listening import add_listen, webhooks_listen
from core.errors import WaqtorError
from simulator.profiles import PROFILES

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 it ran and something is wrong, 2 it was asked wrongly or cannot run."""
    asked = _parser().parse_args(arguments)
    try:
        run: Command = asked.run
        return run(asked)
    except WaqtorError as error:
        return _refused(error.message, error.hint)
    except KeyboardInterrupt:
        return 130


def _refused(message: str, hint: str | None) -> int:
    print(f"waqtor: {message}", file=sys.stderr)
    if hint:
        print(f"        {hint}", file=sys.stderr)
    return 2


# ---- processes ----------------------------------------------------------------------------------------------


def _up(asked: argparse.Namespace) -> int:
    from cli.processes import Stack, children, up

    settings = load_settings()
    if asked.simulator and "cloud_api_url" not in settings.model_fields_set:
        simulated = f"http://127.0.0.1:{settings.simulator_port}/v23.0"
        settings = settings.model_copy(update={"cloud_api_url": simulated})
    welcome(settings)
    return up(Stack(settings, children(settings, simulator=asked.simulator)))


def _api(_: argparse.Namespace) -> int:
    from api.app import serve

    return serve(load_settings())


def _flows(_: argparse.Namespace) -> int:
    from cli.prefect_env import prefect_env

    settings = load_settings()
    os.environ.update(prefect_env(settings))  # before the first import of prefect, which reads them then
    import asyncio

    from flows.serve import serve

    asyncio.run(serve(settings))
    return 0


def _dashboard(_: argparse.Namespace) -> int:
    from cli.processes_probes import reachable
    from core import service_credentials
    from ui.serve import serve

    settings = load_settings()
    os.environ["WAQTOR_DASHBOARD_CREDENTIAL"] = service_credentials.for_dashboard(settings) or ""
    return serve(
        host=settings.dashboard_host,
        port=settings.dashboard_port,
        api_url=f"http://{reachable(settings.api_host)}:{settings.api_port}",
        public_url=settings.dashboard_url,
        trusted_proxies=settings.trusted_proxies,
    )


def _simulator(asked: argparse.Namespace) -> int:
    settings = load_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    own = ["--port", str(settings.simulator_port), "--profile", asked.profile, "--seed", str(asked.seed)]
    own += ["--state", str(settings.data_dir / "simulator.db")]
    os.execv(sys.executable, [sys.executable, "-m", "simulator", *own])  # noqa: S606  our own interpreter
    return 0


def _demo(asked: argparse.Namespace) -> int:
    from cli.demo import demo

    return demo(once=asked.once, people=asked.people)


def _doctor(_: argparse.Namespace) -> int:
    from cli.doctor import run

    return run(load_settings())


def _apply(asked: argparse.Namespace) -> int:
    from cli.apply import apply

    return apply(asked)


def _export(asked: argparse.Namespace) -> int:
    from cli.export import export

    return export(asked)


# ---- the parser ---------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="waqtor", description="Self-hosted WhatsApp automation.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(
        name: str, help_text: str, run: Command, to: "argparse._SubParsersAction[argparse.ArgumentParser]" = commands
    ) -> argparse.ArgumentParser:
        command = to.add_parser(name, help=help_text, description=help_text)
        command.set_defaults(run=run)
        return command

    def group(name: str, help_text: str) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
        made = commands.add_parser(name, help=help_text, description=help_text)
        return made.add_subparsers(title="commands", required=True, metavar="COMMAND")

    add("up", "run everything, restart what dies, stop with Ctrl-C", _up).add_argument(
        "--simulator",
        choices=sorted(PROFILES),
        help="also run a simulated WhatsApp, and write to it instead of the real one",
    )
    add("api", "run the REST API", _api)
    add("dashboard", "run the dashboard, which asks the API", _dashboard)
    add("flows", "run the worker that sends campaigns", _flows)
    simulator = add("simulator", "run a simulated WhatsApp", _simulator)
    simulator.add_argument("--profile", default="demo", choices=sorted(PROFILES))
    simulator.add_argument("--seed", type=int, default=1)
    demo = add("demo", "a first campaign against a simulated WhatsApp, in a data directory of its own", _demo)
    demo.add_argument("--once", action="store_true", help="stop after the result")
    demo.add_argument("--people", type=int, default=1000)
    add("doctor", "what is missing here, and how to get it", _doctor)

    backing = add("backup", "write the database and the media into one file", installation.backup)
    backing.add_argument("file", type=Path, help="the master key is not in it: keep a copy of that elsewhere")
    backing.add_argument("--without-media", action="store_true", help="leave out the files that go with messages")
    add("restore", "fill a new, migrated database from a backup", installation.restore).add_argument("file", type=Path)
    database = group("db", "the database")
    add("upgrade", "bring the schema to what this version needs", installation.db_upgrade, database)
    add("check", "is the schema what this version needs?", installation.db_check, database)
    add(
        "again",
        "apply anew what could not be applied, after a mend",
        installation.inbox_again,
        group("inbox", "WhatsApp's webhooks"),
    )
    keys = group("keys", "the master key, and keys for the API")
    add("init", "make the master key of a new installation", installation.keys_init, keys)
    add("rotate", "encrypt every stored secret under a new key", installation.keys_rotate, keys)
    add("prefect", "the password that Prefect's pages ask for", installation.keys_prefect, keys)
    create = add("create", "make a key for the API; it is shown once", installation.keys_create, keys)
    create.add_argument("name")
    create.add_argument(
        "--scope", action="append", choices=["read", "write", "send", "monitor", "admin"], dest="scopes"
    )
    create.add_argument("--service", action="store_true", help="for a part of the installation, not for a person")
    create.add_argument("--address", action="append", dest="addresses", help="only from this address or network")
    add_users(group("users", "people who sign in"))
    add("verify", "is the audit log as it was written?", audit_verify, group("audit", "who did what"))
    config = group("config", "the settings")
    add("check", "are all settings right?", installation.config_check, config)
    add("show", "the settings in force, secrets masked", installation.config_show, config)

    applying = add("apply", "make templates, segments and campaigns as files say; shows the difference first", _apply)
    applying.add_argument(
        "-f", "--file", action="append", required=True, metavar="FILE", help="YAML; a folder; - for the standard input"
    )
    how = applying.add_mutually_exclusive_group()
    how.add_argument("--yes", action="store_true", help="do not ask")
    how.add_argument("--dry-run", action="store_true", help="only show; the exit code is 2 where something differs")
    exporting = add("export", "write templates, segments and campaigns as such a file", _export)
    exporting.add_argument("--out", type=Path, metavar="FILE", help="left out: the standard output")
    contacts = group("contacts", "people")
    add_import(add("import", "take contacts from a CSV, XLSX or JSON file", contacts_import, contacts))
    segments = group("segments", "people chosen by a filter")
    add("list", "all segments", segments_list, segments)
    counting = add("count", "how many people are in a segment, or fit a filter, now", segments_count, segments)
    counting.add_argument("segment", metavar="ID_OR_FILTER")
    making = add("create", "keep a filter under a name", segments_create, segments)
    making.add_argument("name")
    making.add_argument("filter", help='such as: tag = "vip" and age >= 18')
    messages = group("templates", "messages with variables")
    add("list", "all templates", templates_list, messages)
    add("show", "a template in all its languages", templates_show, messages).add_argument("id", type=int)
    add_preview(add("preview", "what a person would read", templates_preview, messages))
    syncing = add("sync", "take in the templates of the WhatsApp account", templates_sync, messages)
    syncing.add_argument("--sender", type=int, metavar="ID", help="of this sender only")
    campaigns = group("campaigns", "campaigns")
    add("list", "all campaigns", remote.campaigns_list, campaigns)
    for name, help_text, run in (
        ("preflight", "what a campaign would do; sends nothing", remote.campaigns_preflight),
        ("launch", "send a campaign, and watch it", remote.campaigns_launch),
        ("watch", "see how far a campaign is", remote.campaigns_watch),
        ("pause", "stop sending, for now", remote.campaigns_pause),
        ("resume", "go on sending", remote.campaigns_resume),
        ("cancel", "stop sending, for good", remote.campaigns_cancel),
    ):
        add(name, help_text, run, campaigns).add_argument("id", type=int)
    add_test(add("test", "send a campaign's message to one person, as a test", campaigns_test, campaigns))
    add_schedule(add("schedule", "send it when it is due: once, or again and again", campaigns_schedule, campaigns))
    for name, help_text, run in (
        ("unschedule", "send it no more by itself", campaigns_unschedule),
        ("occurrences", "each time it was sent, was missed or is to be sent", campaigns_occurrences),
        ("canary", "what came of those who were written to first", campaigns_canary),
        ("variants", "how its variants did, side by side", campaigns_variants),
    ):
        add(name, help_text, run, campaigns).add_argument("id", type=int)
    add_go_on(add("go-on", "write to everybody, without waiting for its canary", campaigns_go_on, campaigns))
    add_choose(add("choose-variant", "one variant for everybody who is left", campaigns_choose, campaigns))
    asking = add("why", "why was this person written to, or why not?", remote.campaigns_why, campaigns)
    asking.add_argument("id", type=int)
    asking.add_argument("who", help="a phone number, or #17 for contact 17")
    told = group("notifications", "what there is to know")
    add_filters(add("list", "the newest notifications", notifications_list, told))
    add_read(add("read", "mark one or all as read, for this API key", notifications_read, told))
    hooks = group("webhooks", "addresses of yours that are told what happens")
    add("list", "all of them, and how they do", webhooks.webhooks_list, hooks)
    webhooks.add_new(add("add", "register one; prints its secret", webhooks.webhooks_add, hooks))
    webhooks.add_one(add("test", "post something to it now, and say what it answers", webhooks.webhooks_test, hooks))
    webhooks.add_log(add("log", "what they were told, or all of one delivery", webhooks.webhooks_log, hooks))
    webhooks.add_replay(add("replay", "make one or many deliveries again", webhooks.webhooks_replay, hooks))
    webhooks.add_rotate(add("rotate", "give it a new secret", webhooks.webhooks_rotate, hooks))
    add_listen(add("listen", "see and verify what arrives at a port of this machine", webhooks_listen, hooks))
    single = group("messages", "messages to one person")
    add_send(add("send", "send one message, and see what becomes of it", messages_send, single))
    add("show", "what became of a message", messages_show, single).add_argument("id", type=int)
    happening = group("events", "what happens")
    add_follow(add("follow", "see what happens, as it happens; stop with Ctrl-C", events_follow, happening))
    talks = group("chats", "what was said between a sender and a person")
    add_list(add("list", "the latest chats", chats_list, talks))
    add_show(add("show", "the last messages of a chat", chats_show, talks))
    files = group("media", "files that go with messages")
    add_upload(add("upload", "take a file, for messages and templates", media_upload, files))
    add("list", "all files, ours and theirs", media_list, files)
    add_get(add("get", "save a file here", media_get, files))
    add("delete", "delete a file; what was sent stays with the people", media_delete, files).add_argument(
        "id", type=int
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
