"""The certificate of every public name: trusted, for that name, and far from its end."""

from __future__ import annotations

from .conftest import Access
from .served import problem


def test_every_name_has_a_certificate_with_a_whole_chain_that_does_not_end_soon(access: Access) -> None:
    found = [problem(name, place, access.tls()) for name, place in access.places.items()]
    assert not any(found), "\n\n".join(filter(None, found))
