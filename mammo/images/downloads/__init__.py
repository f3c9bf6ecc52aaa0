"""Downloads from untrusted addresses: checked addresses, limits on bytes and time, a cache of limited size.

Anyone who may create tasks writes their data. An address in it is fetched only if the settings allow it, and only over
a connection to exactly the IP address that was checked.
"""

from mammo.images.downloads.addresses import AddressRule
from mammo.images.downloads.cache import DownloadCache
from mammo.images.downloads.fetch import Fetched, Limits, fetch

__all__ = ["AddressRule", "DownloadCache", "Fetched", "Limits", "fetch"]
