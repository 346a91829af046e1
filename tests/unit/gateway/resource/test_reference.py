from realtime_gateway.resource.reference import field_reference


def test_the_reference_names_type_default_and_what_a_field_does():
    row = "| `pingIntervalSeconds` | whole number, 0 to 86400 | `20` | Seconds without traffic"
    assert row in field_reference()


def test_the_reference_says_what_is_not_built_and_what_only_a_cluster_reads():
    lines = field_reference().splitlines()
    [autoscaling] = [line for line in lines if line.startswith("| `connectionsPerPod`")]
    assert "5000" in autoscaling
    assert any(line.startswith("| `image` | text |") and line.endswith("**K8s.** |") for line in lines)
    assert any(line.startswith("| `maxReplicas` |") and "**Not yet.**" not in line for line in lines)


def test_a_kind_of_section_is_described_once():
    titles = [line for line in field_reference().splitlines() if line.startswith("## ")]
    assert "## `redis.managed.podTemplate`, `podTemplate`" in titles
    assert len(titles) == len(set(titles))
