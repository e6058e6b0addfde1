//! The accepted forms, and properties of all of them; what must be refused stands in `refused.rs` and `private.rs`.

mod private;
mod refused;

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn https(text: &str) -> Result<String, EndpointError> {
    NodeEndpoint::parse(text, Transport::HttpsOnly).map(|endpoint| endpoint.to_string())
}

fn http(text: &str) -> Result<String, EndpointError> {
    NodeEndpoint::parse(text, Transport::HttpAllowed).map(|endpoint| endpoint.to_string())
}

#[test]
fn a_public_https_url_is_kept_in_its_normalised_form() {
    for (written, stored) in [
        ("https://node.example.com", "https://node.example.com"),
        ("https://node.example.com/", "https://node.example.com"),
        ("https://node.example.com:443/", "https://node.example.com"),
        ("https://node.example.com:0443/", "https://node.example.com"),
        ("https://node.example.com:/", "https://node.example.com"),
        ("HTTPS://Node.Example.COM/Node12", "https://node.example.com/Node12"),
        ("https://node.example.com:8080", "https://node.example.com:8080"),
        ("https://node.example.com/node12", "https://node.example.com/node12"),
        ("https://node.example.com/node12/", "https://node.example.com/node12"),
        ("https://node.example.com:8080/a/b.c/d_e~f-g/", "https://node.example.com:8080/a/b.c/d_e~f-g"),
        ("https://node.example.com/a/../node12/.", "https://node.example.com/node12"),
        ("https://a-b.c3.xn--kln-sna.de/n", "https://a-b.c3.xn--kln-sna.de/n"),
        ("https://mylocalhost.com", "https://mylocalhost.com"),
        ("https://notnip.io", "https://notnip.io"),
        ("https://local.example.org", "https://local.example.org"),
        ("https://8.8.8.8/node1", "https://8.8.8.8/node1"),
        ("https://9.255.255.255", "https://9.255.255.255"),
        ("https://11.0.0.0", "https://11.0.0.0"),
        ("https://172.15.255.255", "https://172.15.255.255"),
        ("https://172.32.0.0", "https://172.32.0.0"),
        ("https://100.63.255.255", "https://100.63.255.255"),
        ("https://100.128.0.0", "https://100.128.0.0"),
        ("https://223.255.255.255", "https://223.255.255.255"),
        ("https://[2a02:8070:0:0:0:0:0:1]/node12", "https://[2a02:8070::1]/node12"),
        ("https://[2A02:8070::1]:8080/node12/", "https://[2a02:8070::1]:8080/node12"),
        ("https://[2606:4700:4700::1111]", "https://[2606:4700:4700::1111]"),
    ] {
        assert_eq!(https(written).as_deref(), Ok(stored), "{written}");
        assert_eq!(http(written).as_deref(), Ok(stored), "{written}");
    }
}

#[test]
fn http_is_only_for_those_who_asked_for_it() {
    for (written, stored) in [
        ("http://[2a02:8070:1:2:3:4:5:6]/node12", "http://[2a02:8070:1:2:3:4:5:6]/node12"),
        ("http://node.example.com:80/", "http://node.example.com"),
        ("http://node.example.com:8080/node12", "http://node.example.com:8080/node12"),
    ] {
        assert_eq!(http(written).as_deref(), Ok(stored));
        assert_eq!(https(written), Err(EndpointError::WrongScheme));
    }
    assert_eq!(https("https://node.example.com:80"), Err(EndpointError::WrongPort));
    // Allowing http opens nothing else.
    assert_eq!(http("http://10.0.0.1"), Err(EndpointError::PrivateAddress));
    assert_eq!(http("http://localhost:8080"), Err(EndpointError::PrivateName));
    assert_eq!(http("http://node.example.com:9001"), Err(EndpointError::WrongPort));
    assert_eq!(http("ftp://node.example.com"), Err(EndpointError::WrongScheme));
}

#[test]
fn length_is_bounded_as_written_and_as_stored() {
    let long = |length: usize| format!("https://node.example.com/{}", "a".repeat(length - 25));
    assert!(https(&long(MAX_ENDPOINT_LENGTH)).is_ok());
    assert_eq!(https(&long(MAX_ENDPOINT_LENGTH + 1)), Err(EndpointError::TooLong));
    assert_eq!(https(&long(1 << 20)), Err(EndpointError::TooLong));
    assert!(EndpointError::TooLong.to_string().contains(&MAX_ENDPOINT_LENGTH.to_string()));
    // `::` for a single group is stored as `:0:`, one character more.
    let grows = |length: usize| format!("https://[2a02:1::3:4:5:6:7]/{}", "a".repeat(length - 28));
    assert!(https(&grows(MAX_ENDPOINT_LENGTH - 1)).is_ok_and(|stored| stored.len() == MAX_ENDPOINT_LENGTH));
    assert_eq!(https(&grows(MAX_ENDPOINT_LENGTH)), Err(EndpointError::TooLong));
}

#[test]
fn the_edges_of_every_reserved_range_are_where_the_registry_has_them() {
    for (first, last) in [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("168.63.129.16", "168.63.129.16"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "255.255.255.255"),
    ] {
        let [first, last] = [first, last].map(|text| text.parse::<Ipv4Addr>().unwrap());
        assert!(!is_public(first.into()) && !is_public(last.into()), "{first} {last}");
        for outside in [first.to_bits().checked_sub(1), last.to_bits().checked_add(1)].into_iter().flatten() {
            assert!(is_public(Ipv4Addr::from(outside).into()), "{}", Ipv4Addr::from(outside));
        }
    }
    for (first, last) in [
        ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        let [first, last] = [first, last].map(|text| text.parse::<Ipv6Addr>().unwrap());
        assert!(!is_public(first.into()) && !is_public(last.into()), "{first} {last}");
        for outside in [first.to_bits().checked_sub(1), last.to_bits().checked_add(1)].into_iter().flatten() {
            assert!(is_public(Ipv6Addr::from(outside).into()), "{}", Ipv6Addr::from(outside));
        }
    }
}

/// Something like a URL: mostly well formed, in every part sometimes not.
fn like_a_url() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        4 => "([A-Za-z0-9-]{1,8}\\.){1,3}[a-z]{2,5}\\.?",
        2 => any::<Ipv4Addr>().prop_map(|address| address.to_string()),
        2 => any::<[u16; 7]>().prop_map(|[a, b, c, d, e, f, g]| format!("[2a0{:x}:{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{f:x}:{g:x}]", a % 16)),
        1 => any::<u32>().prop_map(|number| format!("{number:#x}")),
        1 => "\\PC{0,12}",
    ];
    let scheme =
        prop_oneof![8 => Just("https://"), 4 => Just("http://"), 1 => Just("HTTPS://"), 1 => Just("https:")];
    let port = prop_oneof![4 => Just(""), 2 => Just(":8080"), 1 => Just(":443"), 1 => Just(":80"), 1 => Just(":9001")];
    let path = prop_oneof![4 => "(/[a-zA-Z0-9._~-]{0,8}){0,4}", 1 => "/[!-~]{0,12}"];
    (scheme, host, port, path).prop_map(|(scheme, host, port, path)| format!("{scheme}{host}{port}{path}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_was_accepted_reads_as_itself(text in like_a_url()) {
        for transport in [Transport::HttpsOnly, Transport::HttpAllowed] {
            if let Ok(endpoint) = NodeEndpoint::parse(&text, transport) {
                prop_assert_eq!(NodeEndpoint::parse(endpoint.as_str(), transport), Ok(endpoint.clone()));
                prop_assert!(!endpoint.as_str().ends_with('/'));
                prop_assert!(endpoint.as_str().len() <= MAX_ENDPOINT_LENGTH);
            }
        }
    }

    #[test]
    fn an_address_is_accepted_in_a_url_exactly_when_it_is_public(v4 in any::<Ipv4Addr>(), v6 in any::<Ipv6Addr>()) {
        prop_assert_eq!(https(&format!("https://{v4}")).is_ok(), is_public(v4.into()));
        prop_assert_eq!(https(&format!("https://[{v6}]")).is_ok(), is_public(v6.into()));
    }

    #[test]
    fn no_ipv4_address_gets_in_inside_an_ipv6_one(v4 in any::<Ipv4Addr>()) {
        let [high, low] = [(v4.to_bits() >> 16), v4.to_bits() & 0xffff];
        for wrapped in [
            format!("::ffff:{v4}"), format!("::{v4}"), format!("::ffff:0:{v4}"), format!("64:ff9b::{v4}"),
            format!("64:ff9b:1::{v4}"), format!("2002:{high:x}:{low:x}::1"), format!("2001:0:{high:x}:{low:x}::"),
        ] {
            prop_assert_eq!(https(&format!("https://[{wrapped}]")), Err(EndpointError::PrivateAddress));
        }
    }

    #[test]
    fn a_public_address_in_a_strange_spelling_is_refused(v4 in any::<Ipv4Addr>()) {
        let bits = v4.to_bits();
        for disguised in [format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}"), format!("{v4}.")] {
            prop_assert!(https(&format!("https://{disguised}")).is_err(), "{}", disguised);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = https(&text);
        let _ = http(&format!("https://{text}"));
        let _ = http(&format!("http://node.example.com{text}"));
    }
}
