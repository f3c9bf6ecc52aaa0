"""Who may use the console and the HTTP API, and for what.

roles.py      viewer, annotator lead, administrator
passwords.py  Argon2id
users.py      ConsoleUsers: the console's own users
sessions.py   ConsoleSessions: browsers in which a user has logged in
keys.py       ApiKeys: keys of programs
access.py     Access: all of them
"""

from mammo.access.access import Access
from mammo.access.keys import ApiKey, ApiKeys
from mammo.access.passwords import MIN_PASSWORD
from mammo.access.roles import ROLES, Role, includes
from mammo.access.sessions import ConsoleSessions
from mammo.access.users import ConsoleUser, ConsoleUsers

__all__ = [
    "MIN_PASSWORD",
    "ROLES",
    "Access",
    "ApiKey",
    "ApiKeys",
    "ConsoleSessions",
    "ConsoleUser",
    "ConsoleUsers",
    "Role",
    "includes",
]
