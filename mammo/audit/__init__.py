"""The audit trail: who did what, when and why, as a chain of hashes.

entries.py   Entry, and how its hash is computed
trail.py     append, read and verify the chain
export.py    rows of CSV
"""

from mammo.audit.entries import GENESIS, REFUSED_RUN, Action, Entry
from mammo.audit.trail import AuditTrail, Verification, append

__all__ = ["GENESIS", "REFUSED_RUN", "Action", "AuditTrail", "Entry", "Verification", "append"]
