"""What lets people in, as an installation puts it together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.inside import inside

from llm_scheduler.domain.access_errors import AddressNotAllowedError
from llm_scheduler.services.happenings import Device

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "four words of an admin"
FAR = Device("203.0.113.9", request_id="r")


async def test_signing_in_knows_the_networks_of_administration_and_the_audit_log(tmp_path: Path) -> None:
    async with inside(tmp_path, admin_networks=("192.0.2.0/24",)) as it:
        access = it.installation.access
        assert access.signing is not None
        signing = access.signing
        token = await signing.first_user.invite()
        assert token is not None

        with pytest.raises(AddressNotAllowedError):
            await signing.first_user.accept(token, "admin", PASSWORD, FAR)
        assert await signing.first_user.is_missing()
        await signing.first_user.make("admin", PASSWORD, Device(agent="LLMS_ADMIN_PASSWORD"))
        with pytest.raises(AddressNotAllowedError):
            await signing.sign_in.login("admin", PASSWORD, None, None, FAR)
        await signing.sign_in.login("admin", PASSWORD, None, None, FAR._replace(address="192.0.2.7"))
        await access.audit.step()

        rows = await it.store.audit_rows(0, 10)
        # Of the sign-ins their requests tell.
        assert [(row.entry.action, row.entry.target) for row in rows] == [("setup.done", "admin")]
