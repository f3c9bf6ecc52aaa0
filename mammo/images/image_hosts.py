"""ImageHosts: the servers other than Label Studio from which tasks may load images."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from mammo.labelstudio.image_paths import same_origin


@dataclass(frozen=True)
class ImageHosts:
    """The http(s) hosts from which images may be downloaded."""

    entries: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> ImageHosts:
        """Parse a list such as `images.example.org, *.example.org, http://pacs.local:8042`; the default is https.

        Raises:
            ValueError: an entry is neither a host nor an origin.
        """
        entries = tuple(entry.strip().lower() for entry in text.split(",") if entry.strip())
        for entry in entries:
            url = httpx.URL(_origin(entry))
            if url.scheme not in ("http", "https") or not url.host or url.path not in ("", "/"):
                raise ValueError(
                    f"expected hosts such as images.example.org or http://host:port, got {entry!r}"
                )
        return cls(entries)

    def allow(self, url: httpx.URL) -> bool:
        """Whether scheme, host and port are in the list. `*.host` means the subdomains of a host."""
        return any(_matches(httpx.URL(_origin(entry)), url) for entry in self.entries)


def _origin(entry: str) -> str:
    return entry if "://" in entry else f"https://{entry}"


def _matches(listed: httpx.URL, url: httpx.URL) -> bool:
    if listed.host.startswith("*."):
        if not url.host.endswith(listed.host[1:]) or url.host == listed.host[2:]:
            return False
        return same_origin(listed.copy_with(host=url.host), url)
    return same_origin(listed, url)
