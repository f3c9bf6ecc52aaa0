"""Downloads that strangers cannot misuse: checked addresses, limits on bytes and time, a cache with a budget.

A task's data is written by whoever may make tasks. What it names is fetched only from addresses that the settings
allow, and only over connections to exactly the address that was checked.
"""

from mammo.images.downloads.addresses import AddressRule
from mammo.images.downloads.cache import DownloadCache
from mammo.images.downloads.fetch import Fetched, Limits, fetch

__all__ = ["AddressRule", "DownloadCache", "Fetched", "Limits", "fetch"]
