"""`models check-precision`: whether a version's detector may compute in bfloat16 on this machine."""

from __future__ import annotations

import orjson

from cli.models.names import find_version
from cli.progress import progress_bar
from cli.site_choice import changing_site
from cli.text_console import text_console
from mammo.errors import UnusableRuntime
from mammo.models.precision_notes import PRECISION_CHECK

FLOAT32 = 1
"""Exit code if float32 goes on serving."""


def check_precision(name: str, *, dataset: str, as_json: bool) -> int:
    """Compare both number formats on the validation fold of a dataset version, note the result, and print it.

    Raises:
        UnusableRuntime: on this machine `auto` never computes in bfloat16.
    """
    from training.case_sets import dataset_case_sets
    from training.evaluation.precision_check import PrecisionRule, check_model

    with changing_site() as site, dataset_case_sets(dataset, "validation") as (cases,):
        version = find_version(site.registry, name)
        files = site.registry.files(version, into=site.settings.models)
        with progress_bar("check precision", transient=True) as progress:
            check = check_model(
                files,
                cases.cases,
                threads=site.settings.threads,
                exported=site.settings.exported,
                rule=PrecisionRule(),
                progress=progress,
            )
        if check is None:
            raise UnusableRuntime(
                "expected a processor with bfloat16 (avx512_bf16 or amx_bf16) and no GPU, got another machine; nothing "
                "is to be checked here, and `auto` stays in float32"
            )
        detail = check.to_json()
        site.registry.note(version, PRECISION_CHECK, detail)
    console = text_console(soft_wrap=True, highlight=False)
    if as_json:
        console.print_json(orjson.dumps({"version": version, **detail}).decode())
    else:
        console.print(
            f"{version}: {check.sentence}\n{check.num_patients} validation patients, {check.num_images} images, "
            f"{check.num_lesions} clusters; processes that load it from now on go by this"
        )
    return 0 if check.passed else FLOAT32
