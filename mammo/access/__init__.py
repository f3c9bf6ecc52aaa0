"""Who may use the console and the HTTP API, and for what.

roles.py      viewer, annotator lead, administrator
passwords.py  Argon2id
users.py      ConsoleUsers: the console's own users
sessions.py   ConsoleSessions: browsers in which a user has logged in
keys.py       ApiKeys: keys of programs
access.py     Access: all of them
"""
