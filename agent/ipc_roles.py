"""Who may use which verb of a socket: by user id, which the kernel vouches for."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag


class Role(IntFlag):
    """What a peer may ask for. The first four are access levels, the others are processes."""

    NONE = 0
    VIEW = 1
    ACKNOWLEDGE = 2
    OPERATE = 4
    CONFIGURE = 8
    FIELD = 16
    COURIER = 32
    ALL = 63


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, by the kernel's word."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Policy:
    """Roles by user id. Root and the process's own user have all: they own the files anyway."""

    by_uid: Mapping[int, Role]

    def roles(self, peer: Peer) -> Role:
        """The roles of a peer; NONE for a stranger."""
        if peer.uid in (0, os.getuid()):
            return Role.ALL
        return self.by_uid.get(peer.uid, Role.NONE)


_USERS = {
    "embergate-field": Role.FIELD | Role.VIEW,
    "embergate-record": Role.VIEW,
    "embergate-courier": Role.COURIER | Role.VIEW,
    "embergate-opendata": Role.VIEW,  # it listens to strangers: it may look, and no more
}
_GROUPS = {
    "embergate-view": Role.VIEW,
    "embergate-acknowledge": Role.VIEW | Role.ACKNOWLEDGE,
    "embergate-operate": Role.VIEW | Role.ACKNOWLEDGE | Role.OPERATE,
}


def system_policy() -> Policy:
    """Roles of the system's users and groups, looked up once: a name service may be slow."""
    by_uid: dict[int, Role] = {}
    for user, role in _USERS.items():
        with contextlib.suppress(KeyError):  # not installed as a service: a trial
            uid = pwd.getpwnam(user).pw_uid
            by_uid[uid] = by_uid.get(uid, Role.NONE) | role
    for group, role in _GROUPS.items():
        with contextlib.suppress(KeyError):
            for member in grp.getgrnam(group).gr_mem:
                uid = pwd.getpwnam(member).pw_uid
                by_uid[uid] = by_uid.get(uid, Role.NONE) | role
    return Policy(by_uid)
