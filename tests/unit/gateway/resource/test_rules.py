import pytest

from realtime_gateway.resource.fields import settings_of
from realtime_gateway.resource.rules import RULES
from realtime_gateway.resource.spec import Auth, Autoscaling, GatewaySpec, Jwt, ManagedRedis, Redis


def test_only_a_rule_about_changes_has_no_form_in_python():
    assert all((rule.holds is None) == ("oldSelf" in rule.cel) for rule in RULES)


@pytest.mark.parametrize("section", [Redis(managed=ManagedRedis()), ManagedRedis(), Auth(), GatewaySpec("a:b")])
def test_sections_of_defaults_keep_their_rules(section):
    assert all(rule.holds(section) for rule in RULES if rule.section is type(section) and rule.holds)


@pytest.mark.parametrize(
    "section",
    [
        Redis(),
        ManagedRedis(sentinels=4),
        Autoscaling(min_replicas=3, max_replicas=2),
        Jwt(),
        Auth(stack="jwt"),
        Auth(jwt=Jwt(jwks_url="https://a")),
    ],
)
def test_a_section_that_breaks_a_rule_is_noticed(section):
    assert not all(rule.holds(section) for rule in RULES if rule.section is type(section) and rule.holds)


def test_the_form_in_cel_names_fields_as_a_resource_does():
    for rule in RULES:
        names = {setting.name for setting in settings_of(rule.section)}
        assert any(f".{name}" in rule.cel for name in names)
