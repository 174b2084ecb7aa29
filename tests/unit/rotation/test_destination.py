"""Where a probe may go."""

from __future__ import annotations

import pytest

from featurebase_provider.rotation.destination import addresses_of, check_destination
from featurebase_provider.rotation.errors import HostNotResolved, ProbeFailed
from tests.world.fakes import WEBHOOK_ID, a_webhook

PUBLIC = "203.0.113.7"


def check(url: str, *addresses: str, allow: tuple[str, ...] = ()) -> None:
    check_destination(a_webhook(url=url), allow_hosts=allow, resolve=lambda host, port: addresses)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://receiver.example/hook", PUBLIC),
        ("https://receiver.internal/hook", "10.0.0.5"),
        ("https://receiver.example/hook", "2001:db8::1"),
        ("http://localhost:8788/hook", "127.0.0.1"),
        ("http://[::1]:8788/hook", "::1"),
        ("http://localhost:8788/hook", "::ffff:127.0.0.1"),
        ("https://receiver.example/hook", "64:ff9b::cb00:7107"),
        ("https://receiver.example/hook", "2002:cb00:7107::1"),
    ],
)
def test_destinations_that_may_be_probed(url: str, address: str) -> None:
    check(url, address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::23",
        "fd20:ce::254",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "ff02::1",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
    ],
)
def test_addresses_that_are_never_a_receiver(address: str) -> None:
    """The url comes from the API: it must not lead a worker to its cloud's metadata service."""
    with pytest.raises(ProbeFailed, match=rf"{WEBHOOK_ID}.*it was not probed.*probe\.allow_hosts") as caught:
        check("https://receiver.example/", PUBLIC, address)
    assert caught.value.kind == "unreachable"
    check("https://receiver.example/", PUBLIC, address, allow=("Receiver.Example",))


@pytest.mark.parametrize("addresses", [(PUBLIC,), ("127.0.0.1", PUBLIC)])
def test_plain_http_is_for_loopback_only(addresses: tuple[str, ...]) -> None:
    """Allowing the host does not change that: the webhook's headers would be sent in the clear."""
    with pytest.raises(ProbeFailed, match=f"{WEBHOOK_ID}.*not https") as caught:
        check("http://receiver.example/", *addresses, allow=("receiver.example",))
    assert caught.value.kind == "refused"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://receiver.example/",
        "receiver.example",
        "https:///hook",
        "",
        "https://[::1",
        "https://receiver.example:65536/",
        "https://receiver.example:99999/",
        "https://receiver.example:0/",
        "https://receiver.example\n/",
        "https://xn--0.example/",
        "https://①.example\x00/",
        "file:///etc/passwd",
        "gopher://receiver.example/",
    ],
)
def test_no_url_of_a_receiver(url: str) -> None:
    with pytest.raises(ProbeFailed, match=rf"{WEBHOOK_ID}.*not an http\(s\) url; it was not probed") as caught:
        check(url, PUBLIC)
    assert caught.value.kind == "unreachable"
    assert not isinstance(caught.value, HostNotResolved)


@pytest.mark.parametrize(
    "host", ["2852039166", "0251.0376.0251.0376", "0xa9fea9fe", "169.254.43518", "[::ffff:a9fe:a9fe]", "0", "0x0"]
)
def test_spellings_of_an_address_are_what_they_resolve_to(host: str) -> None:
    """Decimal, octal, hexadecimal and shortened IPv4, as the system's own resolver reads them."""
    with pytest.raises(ProbeFailed, match="it was not probed"):
        check_destination(a_webhook(url=f"https://{host}/latest/meta-data/"))


@pytest.mark.parametrize("host", ["metadata.google.internal", "Metadata.Google.Internal.", "metadata.goog"])
def test_a_metadata_services_name_is_refused_whatever_it_resolves_to(host: str) -> None:
    with pytest.raises(ProbeFailed, match="metadata service; it was not probed"):
        check(f"https://{host}/", PUBLIC)
    check(f"https://{host}/", PUBLIC, allow=(host.rstrip("."),))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://good.example\\@evil.example/", "evil.example"),
        ("https://good.example@evil.example:8443/", "evil.example"),
        ("https://RECEIVER.example./", "receiver.example."),
    ],
)
def test_what_is_checked_is_what_is_connected_to(url: str, host: str) -> None:
    """One parser reads the url: for the check, the Host header and the certificate's name."""
    asked: list[str] = []

    def resolve(name: str, port: int) -> list[str]:
        asked.append(name)
        return [PUBLIC, "2001:db8::1%eth0"]

    destination = check_destination(a_webhook(url=url), resolve=resolve)
    assert asked == [host]
    assert destination.host_header.partition(":")[0] == host
    assert destination.server_name == host.rstrip(".")
    assert [destination.at(address).host for address in destination.addresses] == [PUBLIC, "2001:db8::1"]


def test_a_url_that_holds_an_address_keeps_it_as_the_certificates_name() -> None:
    destination = check_destination(a_webhook(url="https://[2001:db8::1]:8443/"), resolve=lambda host, port: [host])
    assert (destination.server_name, destination.host_header) == ("2001:db8::1", "[2001:db8::1]:8443")


def test_a_hosts_name_is_shown_in_one_short_line() -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise UnicodeError("label too long")

    with pytest.raises(HostNotResolved) as caught:
        check_destination(a_webhook(url=f"https://{'a' * 5000}.example/"), resolve=resolve)
    assert len(str(caught.value)) < 600


def test_a_host_may_have_no_address_at_all() -> None:
    with pytest.raises(HostNotResolved, match=f"{WEBHOOK_ID}.*no address") as caught:
        check("https://receiver.example/")
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize("error", [OSError("no such host"), UnicodeError("label too long")])
def test_a_host_without_an_address(error: Exception) -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(HostNotResolved, match=f"'receiver.example' can't be resolved .{type(error).__name__}"):
        check_destination(a_webhook(), resolve=resolve)


def test_the_port_is_the_schemes_or_the_urls() -> None:
    seen: list[int] = []

    def resolve(host: str, port: int) -> list[str]:
        seen.append(port)
        return ["127.0.0.1"]

    for url in ("https://a.example/", "http://a.example/", "http://a.example:1/", "http://a.example:65535/"):
        check_destination(a_webhook(url=url), resolve=resolve)
    assert seen == [443, 80, 1, 65535]


def test_loopback_resolves() -> None:
    assert "127.0.0.1" in addresses_of("127.0.0.1", 80)
