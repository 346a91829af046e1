from tests.support.free_port import free_port

from realtime_gateway.local.admin_page import get


async def test_a_page_of_nobody_has_no_status():
    assert await get(free_port(), "/readyz") == (None, "")
