"""`yolo-mlsam backgrounds`: check the options, add, list or remove, and print the result."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, track
from rich.table import Table

from mammo.backgrounds import PUBLIC_SETS, BackgroundSet, PublicSet
from mammo.backgrounds.own_image import OwnImageRules
from mammo.backgrounds.own_set import Outcome, OwnSetOptions, add_own_set
from mammo.backgrounds.public_set import add_public_set
from mammo.deidentification.pseudonyms import MIN_KEY
from mammo.errors import InvalidSettings
from mammo.printable import printable
from mammo.site import Site

MAX_LICENCE = 200
"""Maximum length of the text of a licence, in characters."""


@dataclass(frozen=True, kw_only=True)
class AddOptions:
    """Options of `backgrounds add`."""

    target: str
    """Name of a public set, or a folder."""

    given: Path | None = None
    """Public set: folder of its files, in place of downloads."""

    name: str | None = None
    licence: str | None = None
    spacing: float | None = None
    """Folder: pixel spacing of files that state none, in mm."""

    patients: Path | None = None
    allow_identified: bool = False


def list_backgrounds() -> None:
    """Print all sets of the site, and the public ones that have not been added."""
    with Site.load() as site:
        library = site.backgrounds
        added = {backgrounds.name: backgrounds for backgrounds in library.sets()}
        public = {each.name: each.within(library.folder / each.name) for each in PUBLIC_SETS}
    table = Table("name", "images", "patients", "spacing", "licence", "may ship", "added")
    for name, backgrounds in (public | added).items():
        is_added = name in added
        missing = backgrounds.num_missing if is_added else 0
        table.add_row(
            name,
            f"{len(backgrounds.backgrounds)}" + (f", {missing} missing: add again" if missing else ""),
            _patients(backgrounds),
            _spacings(backgrounds),
            printable(backgrounds.licence),
            "yes" if backgrounds.may_ship else "no: this site only",
            "yes" if is_added else "",
        )
    Console().print(table)
    Console().print(f"images: {library.folder}", soft_wrap=True)


def add_backgrounds(options: AddOptions) -> int:
    """Add a public set, or a folder to a set of the site; return 0, or 2 if a file was refused.

    Raises:
        InvalidSettings: an option is missing, or does not go with the others.
        WrongFile, FileUnavailable, InvalidBackgrounds, StorageUnavailable: see `add_public_set` and `add_own_set`.
    """
    public = next((each for each in PUBLIC_SETS if each.name == options.target), None)
    return _add_folder(options) if public is None else _add_public(public, options)


def remove_backgrounds(name: str) -> None:
    """Remove a set of the site; raises InvalidBackgrounds: there is none of that name."""
    with Site.load() as site:
        site.backgrounds.remove(name)
    typer.echo(f"{name}: removed")


def _add_public(public: PublicSet, options: AddOptions) -> int:
    own = {
        "--name": options.name,
        "--licence": options.licence,
        "--spacing": options.spacing,
        "--patients": options.patients,
        "--allow-identified": options.allow_identified or None,
    }
    if wrong := [option for option, value in own.items() if value is not None]:
        raise InvalidSettings(
            f"{', '.join(wrong)} cannot be given for the public set {public.name}, where all is known; "
            f"for a folder of that name write ./{public.name}"
        )
    if options.given is not None and not options.given.is_dir():
        raise InvalidSettings("--from is no folder; give the folder with the files of the set")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Site.load(creates=True) as site, Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(public.name, total=public.size)
        backgrounds = add_public_set(
            public,
            library=site.backgrounds,
            given=options.given,
            progress=lambda received, total: bar.update(task, completed=received, total=total),
        )
    _print_set(backgrounds)
    return 0


def _add_folder(options: AddOptions) -> int:
    with Site.load(creates=True) as site:
        own = _own_set_options(options, site)
        outcome = Outcome()
        try:
            add_own_set(
                own,
                library=site.backgrounds,
                outcome=outcome,
                progress=lambda finished, total: track(
                    finished, "Adding", total=total, console=Console(file=sys.stderr)
                ),
            )
        finally:  # also after an interrupt: what was added stays
            for line in outcome.refused:
                typer.echo(line, err=True)
            known = f", {outcome.num_known} added before" if outcome.num_known else ""
            typer.echo(f"{outcome.num_new} new images{known}, {len(outcome.refused)} refused")
        backgrounds = site.backgrounds.find(own.name)
    if backgrounds is not None:
        _print_set(backgrounds)
    return 2 if outcome.refused else 0


def _own_set_options(options: AddOptions, site: Site) -> OwnSetOptions:
    folder = Path(options.target)
    if not folder.is_dir():
        names = ", ".join(public.name for public in PUBLIC_SETS)
        raise InvalidSettings(
            f"{printable(options.target)} is neither a public set ({names}) nor a folder; check the path"
        )
    if options.given is not None:
        raise InvalidSettings("--from goes with a public set; a folder is itself where its files come from")
    if not options.name or not options.licence or not options.licence.strip():
        raise InvalidSettings(
            "a folder needs --name, a name for the set, and --licence, what its images may be used for"
        )
    licence = printable(options.licence.strip(), length=MAX_LICENCE + 1)
    if len(licence) > MAX_LICENCE:
        raise InvalidSettings(
            f"--licence may have {MAX_LICENCE} characters; name the document that says more"
        )
    secret = site.settings.patient_secret.get_secret_value().encode()
    if len(secret) < MIN_KEY:
        raise InvalidSettings(
            f"set YOLO_MLSAM_PATIENT_SECRET to a key of at least {MIN_KEY} bytes: "
            "the images are de-identified with it, and those of a patient are grouped by it"
        )
    rules = OwnImageRules(
        spacing_mm=options.spacing,
        patient_secret=secret,
        allow_identified=options.allow_identified,
        max_bytes=site.settings.max_image_bytes,
    )
    return OwnSetOptions(
        folder=folder, name=options.name, licence=licence, patients=options.patients, rules=rules
    )


def _print_set(backgrounds: BackgroundSet) -> None:
    shipping = "may" if backgrounds.may_ship else "must not"
    typer.echo(
        f"{backgrounds.name}: {len(backgrounds.backgrounds)} images, patients: {_patients(backgrounds)}, "
        f"{_spacings(backgrounds)}, {backgrounds.licence}; weights trained on them {shipping} leave this site"
    )


def _patients(backgrounds: BackgroundSet) -> str:
    return (
        f"at most {backgrounds.num_patients}"
        if backgrounds.patients_assumed
        else f"{backgrounds.num_patients}"
    )


def _spacings(backgrounds: BackgroundSet) -> str:
    low, high = (f"{value:.3g}" for value in backgrounds.spacing_range_mm)
    return f"{low} mm" if low == high else f"{low} to {high} mm"
