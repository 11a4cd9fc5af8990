"""`docfleet serve`: the whole service in one, on a laptop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from docfleet.settings import read_settings

Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.  \\[default: 8080]")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.  \\[default: 127.0.0.1]")]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate chain (PEM): the API speaks HTTPS only.")]
TlsKey = Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON for machines once it answers.")]


def serve(
    port: Port = None,
    host: Host = None,
    data: Annotated[Path | None, typer.Option(help="Folder for all it keeps.  \\[default: docfleet-data]")] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Slices read at a time.  \\[default: one for each core]")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Engine that reads pixels.  \\[default: rapidocr]")] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    as_json: AsJson = False,
) -> None:
    """Run the whole service here: API, workers, SQLite and a folder. Prints its address and a first key.

    Needs no other server. Everything is in one folder; stopped and started again, it goes on where it was. Ctrl-C stops
    it. The key is also in access.json of that folder, where `docfleet submit` finds it.
    """
    from docfleet.stack.serving import Served
    from docfleet.stack.serving import serve as run

    settings = read_settings(
        api={"host": host, "port": port, "tls_cert_file": tls_cert, "tls_key_file": tls_key},
        service={"data_folder": data},
        fleet={"slots": slots},
        reading={"engine": engine},
    )
    console = Console(highlight=False)

    def started(served: Served) -> None:
        if as_json:
            facts = {
                "url": served.url,
                "api_key": served.key.secret,
                "folder": str(served.data_folder),
                "pids": {"worker": served.worker_pid},
            }
            print(json.dumps(facts), flush=True)
        else:
            secret = served.key.secret if served.key.is_new else ""
            said = greeting(served.url, secret, served.key.file, console=settings.console.enabled)
            console.print(said, soft_wrap=True)

    run(settings, started)
    if not as_json:
        console.print("Stopped. What was accepted is kept; start it again to go on.")


def greeting(url: str, new_secret: str, key_file: Path, *, console: bool) -> Text:
    """What is shown once the service answers. The key itself is shown when it was just made, and never again."""
    from docfleet.console.options import is_installed

    text = Text()
    text.append("docfleet is serving at ", style="bold")
    text.append(f"{url}\n", style="bold cyan")
    key = new_secret or f"in {key_file}"
    text.append(f"  API key    {key}\n")
    if new_secret:
        text.append(f"             (shown once; kept in {key_file}, for you only)\n", style="dim")
    if console and is_installed():
        text.append(f"  Console    {url}/console\n")
    text.append(f"  API docs   {url}/docs\n")
    text.append(f"  Submit     docfleet submit inbox/ --to {url} --wait\n")
    text.append("  Stop       Ctrl-C")
    return text
