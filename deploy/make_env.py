"""Write .env and the folder secrets/ for docker-compose.yml: `make env`. Uses the standard library only.

A secret that exists is kept, in secrets/ as in the .env of an earlier release; delete its file to have a new one made.
Files that are put together from secrets are written anew each time.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

SIZES = {
    "yolo_mlsam_auth_password": 24,
    "yolo_mlsam_webhook_secret": 24,
    "yolo_mlsam_patient_secret": 24,
    "yolo_mlsam_pacs_password": 24,
    "yolo_mlsam_label_studio_api_key": 20,  # Label Studio's tokens must have 40 hexadecimal digits
    "label_studio_password": 24,
    "postgres_admin_password": 24,
    "postgres_yolo_mlsam_password": 24,
    "postgres_label_studio_password": 24,
    "redis_password": 24,
    "redis_scaler_password": 24,
    "prometheus_key": 32,
    "grafana_password": 24,
}
"""Secrets, a file each, and their sizes in bytes."""

FORMER_NAMES = {
    "yolo_mlsam_auth_password": "AUTH_PASSWORD",
    "yolo_mlsam_webhook_secret": "WEBHOOK_SECRET",
    "yolo_mlsam_patient_secret": "PATIENT_SECRET",
    "yolo_mlsam_label_studio_api_key": "LABEL_STUDIO_API_KEY",
    "label_studio_password": "LABEL_STUDIO_PASSWORD",
    "postgres_admin_password": "POSTGRES_PASSWORD",
    "redis_password": "REDIS_PASSWORD",
    "grafana_password": "GRAFANA_PASSWORD",
}
"""Their variables in the .env of an earlier release."""


def combined(secret: dict[str, str]) -> dict[str, str]:
    """Return the content of the files that are put together from secrets, by name."""
    return {
        "yolo_mlsam_database_url": "postgresql+psycopg://yolo_mlsam:"
        f"{secret['postgres_yolo_mlsam_password']}@postgres:5432/mlsam",
        "yolo_mlsam_redis_url": f"redis://yolo-mlsam:{secret['redis_password']}@valkey:6379/0",
        "yolo_mlsam_api_keys": _sha256(secret["prometheus_key"]),
        "redis_users.acl": redis_users(secret),
        "orthanc_users.json": json.dumps(
            {"RegisteredUsers": {"yolo-mlsam": secret["yolo_mlsam_pacs_password"]}}
        ),
        "label_studio.env": "".join(
            f"{variable}={shlex.quote(secret[name])}\n"
            for variable, name in {
                "POSTGRE_PASSWORD": "postgres_label_studio_password",
                "LABEL_STUDIO_PASSWORD": "label_studio_password",
                "LABEL_STUDIO_USER_TOKEN": "yolo_mlsam_label_studio_api_key",
            }.items()
        ),
    }


def redis_users(secret: dict[str, str]) -> str:
    """Return deploy/redis/users.acl in the form that a server reads: no comments, a user in a line."""
    text = (ROOT / "deploy/redis/users.acl").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n|^\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\n +", " ", text)
    return re.sub(r"<(\w+)>", lambda name: _sha256(secret[name[1]]), text)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main(folder: Path) -> int:
    """Write what is missing; return the exit status."""
    settings = folder / ".env"
    is_new = not settings.exists()
    if is_new:
        settings.write_text((ROOT / ".env.example").read_text(encoding="utf-8"), encoding="utf-8")
        settings.chmod(0o600)
    former = dict(re.findall(r"^([A-Z_0-9]+)=(.+)$", settings.read_text(encoding="utf-8"), re.MULTILINE))
    place = folder / "secrets"
    place.mkdir(mode=0o700, exist_ok=True)
    place.chmod(0o700)
    made = [name for name in SIZES if not (place / name).exists()]
    for name in made:
        value = former.get(FORMER_NAMES.get(name, ""), "")
        if not re.fullmatch(r"[!-~]*", value) or set(value) & set("\"'\\$#"):
            print(
                f"{FORMER_NAMES[name]} in {settings} is quoted: write the secret itself into {place / name}."
            )
            return 1
        _write(place / name, value or secrets.token_hex(SIZES[name]))
    secret = {name: (place / name).read_text(encoding="utf-8").strip() for name in SIZES}
    in_urls = ("postgres_yolo_mlsam_password", "redis_password")
    if unsafe := [name for name in in_urls if not re.fullmatch(r"[\w.~-]+", secret[name], re.ASCII)]:
        print(f"{' and '.join(unsafe)} in {place}: use letters, digits and . _ ~ - only, as in a URL.")
        return 1
    for name, content in combined(secret).items():
        _write(place / name, content)
    print(f"{settings} {'written' if is_new else 'is kept'}. New in {place}: {', '.join(made) or 'nothing'}.")
    if unused := sorted(set(former) & {*FORMER_NAMES.values(), "S3_ACCESS_KEY", "S3_SECRET_KEY"}):
        print(
            f"Not used any more in {settings}: {', '.join(unused)}. docs/deployment.md, `Upgrade`, has more."
        )
    if is_new:
        print(f"Set MAMMOGRAMS and TWINS in {settings}, then run: docker compose up -d --build")
    return 0


def _write(file: Path, content: str) -> None:
    """Write a secret. The folder keeps others out; containers, which mount the file alone, run as several users."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(content, encoding="utf-8")
    file.chmod(0o444)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT))
