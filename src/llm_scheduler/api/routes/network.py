"""What the network may do here, and what the server thinks of the caller's address."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.schemas.system import NetworkShown

router: Final = APIRouter(prefix="/api/v1", route_class=DirectRoute)


@router.get("/system/network", **operation(Tag.SYSTEM, "Networks and limits", answers={200: NetworkShown}))
async def network(request: Request) -> Answer:
    """The settings that docs/protection.md explains, and this very request's address as they make it out."""
    caller = caller_of(request)
    protection, origin = caller.parts.access.protection, caller.origin
    limits = protection.limits
    return json_answer(
        {
            "admin_networks": list(protection.admin_networks),
            "trusted_proxies": list(protection.origins.trusted),
            "cors_origins": sorted(site.decode() for site in protection.cors_origins),
            "is_https_required": protection.is_https_required,
            "hsts_seconds": protection.hsts_s,
            "rate_limits_rpm": {} if limits is None else limits.rates._asdict(),
            "caller": {
                "address": origin.address,
                "scheme": origin.scheme,
                "peer": origin.peer,
                "is_peer_trusted": protection.origins.trusts(origin.peer),
            },
        }
    )
