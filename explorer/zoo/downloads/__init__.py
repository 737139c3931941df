"""Files of the zoo on this machine: a cache, downloads that resume and are checked, and the user's own mirror."""

from explorer.zoo.downloads.cache import DownloadError, adopt, cache_dir, fetch, offline_wanted, sha256_of

__all__ = ["DownloadError", "adopt", "cache_dir", "fetch", "offline_wanted", "sha256_of"]
