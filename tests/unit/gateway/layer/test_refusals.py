from __future__ import annotations

import pytest

from realtime_gateway.layer.refusals import (
    REMEDIES,
    is_of_the_shard,
    is_tls,
    readable,
    remedy_for,
    says_less,
    with_code,
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("redis://somewhere:6379: NOAUTH Authentication required.", "NOAUTH"),
        ("redis://somewhere:6379: invalid username-password pair or user is disabled.", "WRONGPASS"),
        ("ERR The user executing the script can't run this command or subcommand", "NOPERM"),
        ("ERR max number of clients reached", "maxclients"),
        ("the shard answered a subscription with NOPERM this user has no permissions", "NOPERM"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
        # As OpenSSL 1.1.1 and 3 write them; those of real servers are in tests/attacks.
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired", "tls expired"),
        ("certificate verify failed: Hostname mismatch, certificate is not valid for 'redis'", "tls name"),
        ("certificate verify failed: IP address mismatch, certificate is not valid for '10.0.0.1'.", "tls name"),
        ("certificate verify failed: self signed certificate", "tls authority"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired", "tls ours"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca", "tls ours"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "tls none of ours"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "tls plain"),
        ("[SSL: RECORD_LAYER_FAILURE] record layer failure", "tls plain"),
    ],
)
def test_a_refusal_says_what_to_do_wherever_its_code_stands(text: str, code: str) -> None:
    assert remedy_for(text) == REMEDIES[code]


@pytest.mark.parametrize("text", ["", "no connection within 5 s", "ERR something new", "Connection refused by TLS"])
def test_nothing_is_made_up_where_nothing_is_known(text: str) -> None:
    assert remedy_for(text) == ""


def test_a_client_librarys_words_get_the_code_back_that_it_cut_off() -> None:
    assert with_code("Authentication required.") == "NOAUTH Authentication required."
    assert with_code("NOAUTH Authentication required.") == "NOAUTH Authentication required."
    assert with_code("max number of clients reached") == "max number of clients reached"
    assert with_code("Connection refused") == "Connection refused"


@pytest.mark.parametrize(
    ("text", "of_the_shard"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", True),
        ("READONLY You can't write against a read only replica.", True),
        ("NOPERM this user has no permissions to run the 'evalsha' command", True),
        ("ERR The user executing the script can't run this command or subcommand script: 1f", True),
        ("ERR ACL failure in script: this user has no permissions to access one of the keys", True),
        ("ERR Error running script (call to f_1f): @user_script:5: @user_script: 5: ACL failure in script", True),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", False),
        ("ERR user_script:15: attempt to compare nil with number near 'BUSY replica'", False),
        ("ERR value is not an integer or out of range: OOM", False),
        ("NOSCRIPT No matching script: ACL failure in script", False),
    ],
)
def test_a_shard_that_refuses_everything_is_told_from_one_that_refuses_a_key(text: str, of_the_shard: bool) -> None:
    assert is_of_the_shard(text.partition(" ")[0], text) is of_the_shard


def test_the_place_in_a_script_is_left_out() -> None:
    script = f"script: {'ab' * 20}, on @user_script:14."
    assert readable(f"NOREPLICAS Not enough good replicas to write. {script}") == (
        "NOREPLICAS Not enough good replicas to write"
    )
    assert readable("BUSY Redis is busy.") == "BUSY Redis is busy"


def test_what_is_wrong_with_certificates_is_told_from_what_is_not() -> None:
    assert is_tls("Error 1 connecting to a:1. [SSL: WRONG_VERSION_NUMBER] wrong version number")
    assert is_tls("certificates cannot be read (/tls/ca.crt): [Errno 2] No such file or directory")
    assert not is_tls("Error 111 connecting to a:1. Connect call failed")


def test_a_reset_is_what_is_left_of_a_certificate_refused_and_of_nothing_else() -> None:
    refused = "Error while reading from shard:6379 : (1, '[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca')"
    reset = "Error while reading from shard:6379 : (104, 'Connection reset by peer')"
    assert says_less(reset, than=refused)
    assert not says_less(reset, than="")
    assert not says_less(reset, than="Error 111 connecting to shard:6379. Connection refused.")
    assert not says_less("Error 111 connecting to shard:6379. Connection refused.", than=refused), "it is gone since"
    assert not says_less(refused, than=refused)
