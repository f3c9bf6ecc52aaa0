"""Notifications: people learn what happens in a project, by signed webhook, by e-mail, or in the note of a task.

    journals     what happened, read from the tables that record it     conditions   silence, and a disk that fills up
    notice       one sentence and its facts; nothing of a patient       channels     who is notified of what
    outbox       one row for each notice and channel, and its attempts  deliverers   how a notice is sent
    service      reads, sends, repeats

Nothing is sent from where it happens. A notice is derived from rows that were committed with the run, the promotion or
the change of stage, so none is lost when a process is killed, and none is sent for what was rolled back.
"""

from mammo.notifications.channels import Channel, Kind, NewChannel
from mammo.notifications.notice import TOPICS, Notice, Topic
from mammo.notifications.service import NotificationService

__all__ = ["TOPICS", "Channel", "Kind", "NewChannel", "Notice", "NotificationService", "Topic"]
