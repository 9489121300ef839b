"""Accounts of the simulated machine: who there is, which password holds, who may do what.

Those of the users file are local administrators, who have been there for a while. win_user makes others, of which the
state keeps a fingerprint of the password; names count without regard to case.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .state import State, Store

ADMINISTRATORS = "S-1-5-32-544"
BATCH = "SeBatchLogonRight"
LOGON_FAILURE = (0x052E, "The user name or password is incorrect")
NOT_GRANTED = (
    0x0569,
    "Logon failure: the user has not been granted the requested logon type at this computer",
)


@dataclass(frozen=True)
class Account:
    """`groups` are SIDs of local groups; `password` is a fingerprint."""

    name: str
    password: str
    groups: tuple[str, ...]

    @property
    def administrator(self) -> bool:
        return ADMINISTRATORS in self.groups


def fingerprint(password: str) -> str:
    """What the simulator keeps of a password."""
    return hashlib.sha256(password.encode()).hexdigest()


def find(store: Store, state: State, name: str) -> Account | None:
    """The local account of that name, with or without the machine's name before it."""
    wanted = name.rpartition("\\")[2].lower()
    for known, password in store.accounts.items():
        if known.lower() == wanted:
            return Account(known, fingerprint(password), (ADMINISTRATORS,))
    for known, entry in state.users.items():
        if known.lower() == wanted:
            return Account(known, entry["password"], tuple(entry["groups"]))
    return None


def refusal(store: Store, state: State, name: str, password: str) -> tuple[int, str] | None:
    """Why a logon for a batch job is refused, as Windows numbers and words it. `password` is a fingerprint."""
    account = find(store, state, name)
    if account is None or account.password != password:
        return LOGON_FAILURE
    granted = (right.lower() for right in state.user_rights.get(BATCH, []))
    # Windows grants it to Administrators from the shelf on.
    return None if account.administrator or account.name.lower() in granted else NOT_GRANTED
