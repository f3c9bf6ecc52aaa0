"""The evidence pack of a project or of the champion: what is known of a model, as files that can be handed over.

part.py       Part: one document
gathering.py  the parts of a pack
data_sheet.py what a dataset version holds
software.py   bill of materials of the installed software (CycloneDX)
folder.py     writing the folder, hashing, signing, and checking one
"""

from backend.evidence_pack.folder import check_pack, write_pack
from backend.evidence_pack.gathering import gather

__all__ = ["check_pack", "gather", "write_pack"]
