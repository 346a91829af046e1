from __future__ import annotations

import json
from dataclasses import replace

import pytest

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import Comparison, Documents, HostList, Shard

HOSTS = HostList(7, (Shard("a", 1.0, {"sentinels": [["s", 26379]], "master_name": "a"}), Shard("b", 2, {"host": "h"})))
OLD, NEW = "an old secret", b"a new secret"


def test_without_keys_a_document_is_plain_json_and_a_signature_is_not_looked_at() -> None:
    documents = Documents()
    assert documents.write(HOSTS) == HOSTS.to_json()
    assert documents.read(Documents([NEW]).write(HOSTS), "shard a") == HOSTS


def test_what_is_signed_with_any_of_the_keys_is_read() -> None:
    written = Documents([OLD]).write(HOSTS)
    assert json.loads(written)["signature"]
    assert Documents([NEW, OLD]).read(written.encode(), "shard a") == HOSTS


@pytest.mark.parametrize(
    "document",
    {
        "unsigned": HOSTS.to_json(),
        "signed with another key": Documents(["somebody's"], "p").write(HOSTS),
        "signed for another deployment": Documents([OLD], "q").write(HOSTS),
        "of another epoch than was signed": Documents([OLD], "p").write(HOSTS).replace('"epoch":7', '"epoch":8'),
        "with another host than was signed": Documents([OLD], "p").write(HOSTS).replace('"h"', '"attacker"'),
        "with a signature beyond ASCII": HOSTS.to_json()[:-1] + ',"signature":"é"}',
    }.values(),
)
def test_any_other_document_is_refused_with_where_it_was_found(document: str) -> None:
    with pytest.raises(HostListInvalid, match=r"shard a: the host list of epoch \d is not signed"):
        Documents([OLD], "p").read(document, "shard a")


def test_the_order_of_a_documents_fields_is_not_part_of_what_is_signed() -> None:
    signed = json.loads(Documents([OLD]).write(HOSTS))
    turned = json.dumps(dict(reversed(signed.items())), indent=2)
    assert Documents([OLD]).read(turned, "shard a") == HOSTS


def test_a_stored_document_of_the_same_epoch_is_the_same_to_be_signed_or_another() -> None:
    signing, plain = Documents([NEW, OLD]), Documents()
    other = replace(HOSTS, shards=HOSTS.shards[:1])
    assert plain.compare(HOSTS.to_json(), HOSTS) is Comparison.SAME
    assert plain.compare(other.to_json(), HOSTS) is Comparison.OTHER
    assert plain.compare("rubbish", HOSTS) is Comparison.OTHER
    assert signing.compare(signing.write(HOSTS), HOSTS) is Comparison.SAME
    assert signing.compare(HOSTS.to_json(), HOSTS) is Comparison.TO_SIGN
    assert signing.compare(Documents([OLD]).write(HOSTS), HOSTS) is Comparison.TO_SIGN
    assert signing.compare(signing.write(other), HOSTS) is Comparison.OTHER


def test_a_pair_in_code_is_the_same_as_a_list_in_json() -> None:
    in_code = HostList(7, (Shard("a", 1, {"sentinels": [("s", 26379)], "master_name": "a"}),))
    assert Documents().compare(in_code.to_json(), in_code) is Comparison.SAME
