//! URLs by which a server is talked into calling itself, its network or its cloud.

use std::collections::HashSet;

use super::{super::EndpointError, http, https, private};
use EndpointError::{
    DisguisedHost, HasCredentials, HasQueryOrFragment, NotAPublicName, NotAUrl, NotPlainText, PrivateAddress,
    PrivateName, WrongPath, WrongPort, WrongScheme,
};

const REFUSED: &[(EndpointError, &[&str])] = &[
    (PrivateAddress, private::ADDRESSES),
    (PrivateName, private::NAMES),
    (
        NotAPublicName,
        &[
            "https://node",
            "https://postgres:8080",
            "https://kubernetes",
            "https://metadata",
            "https://com.",
            "https://node.example.com.",
            "https://node.example.com..",
            "https://node..example.com",
            "https://.example.com",
            "https://-node.example.com",
            "https://node-.example.com",
            "https://my_node.example.com",
            "https://node*.example.com",
            "https://node.example.c",
            "https://node.exam$ple.com",
        ],
    ),
    (
        DisguisedHost,
        &["https://134744072", "https://0x08080808", "https://8.8.2056", "https://node.ex%61mple.com"],
    ),
    (
        NotPlainText,
        &[
            // The URL parser would drop or convert every one of these.
            " https://127.0.0.1",
            "https://node.example.com ",
            "https://node.example.com\n",
            "ht\ntps://127.0.0.1",
            "https://127.0.\t0.1",
            "https://node.example.com\0",
            "https://node.example.com\r\nHost: localhost",
            "https:\\\\127.0.0.1",
            "https:\\\\evil.example.com\\@node.example.com",
            "https://node.example.com\\@127.0.0.1",
            "https://node.example.com\\.evil.example.org",
            "https://\u{2460}\u{2461}\u{2466}.0.0.1",
            "https://\u{ff11}\u{ff12}\u{ff17}.0.0.1",
            "https://127\u{3002}0\u{3002}0\u{3002}1",
            "https://127\u{ff0e}0\u{ff0e}0\u{ff0e}1",
            "https://l\u{24de}calhost",
            "https://loc\u{ad}alhost",
            "https://\u{2113}ocalhost",
            "https://k\u{f6}ln.example.com",
            "https://node.example.com\u{2044}node12",
        ],
    ),
    (
        HasCredentials,
        &[
            "https://user@node.example.com",
            "https://user:password@node.example.com",
            "https://:password@node.example.com",
            "https://@node.example.com",
            "https://:@node.example.com",
            "https://node.example.com@127.0.0.1",
            "https://node.example.com:443@169.254.169.254",
            "https://node.example.com%2f@127.0.0.1",
            "https://a@b@127.0.0.1",
            "https://[2a02::1]@127.0.0.1",
        ],
    ),
    (
        HasQueryOrFragment,
        &[
            "https://node.example.com?",
            "https://node.example.com/node12?x=1",
            "https://node.example.com/?url=http://127.0.0.1",
            "https://node.example.com#",
            "https://node.example.com#@127.0.0.1",
            "https://node.example.com/node12#top",
            "https://node.example.com?@127.0.0.1",
        ],
    ),
    (
        WrongPort,
        &[
            "https://node.example.com:0",
            "https://node.example.com:22",
            "https://node.example.com:80",
            "https://node.example.com:2000",
            "https://node.example.com:5432",
            "https://node.example.com:6379",
            "https://node.example.com:8443",
            "https://node.example.com:9001",
            "https://node.example.com:10009",
            "https://node.example.com:65535",
            "https://[2a02:8070::1]:9001",
        ],
    ),
    (
        WrongPath,
        &[
            "https://node.example.com//",
            "https://node.example.com//node12",
            "https://node.example.com/a//b",
            "https://node.example.com/a%2fb",
            "https://node.example.com/a%00",
            "https://node.example.com/a%0d%0aHost:localhost",
            "https://node.example.com/a;b",
            "https://node.example.com/@127.0.0.1",
            "https://node.example.com/http://127.0.0.1",
            "https://node.example.com/{did}",
            "https://node.example.com/node12/*",
        ],
    ),
    (
        WrongScheme,
        &[
            "http://node.example.com",
            "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
            "ftp://node.example.com",
            "file://node.example.com/etc/passwd",
            "gopher://127.0.0.1:5432",
            "ws://node.example.com",
            "wss://node.example.com",
            "httpss://node.example.com",
            "lndconnect://node.example.com:10009",
        ],
    ),
    (
        NotAUrl,
        &[
            "",
            "node.example.com",
            "node.example.com:8080",
            "https://node.example.com,10.0.0.1",
            "https://node.example.com;10.0.0.1",
            "//node.example.com",
            "/node12",
            "https",
            "https:",
            "https:node.example.com",
            "https:/node.example.com",
            "https:127.0.0.1",
            "https://",
            "https:///node.example.com",
            "https:////127.0.0.1",
            "https://?",
            "file:///etc/passwd",
            "file:///proc/self/environ",
            "data:text/plain,x",
            "javascript:alert(1)",
            "://node.example.com",
            "https://node.example.com:port",
            "https://node.example.com:99999",
            "https://node.example.com:-1",
            "https://node.example.com:443:443",
            "https://[2a02::1",
            "https://2a02::1",
            "https://[2a02::1::2]",
            "https://[fe80::1%25eth0]",
            "https://[fe80::1%eth0]",
            "https://[127.0.0.1]",
            "https://[node.example.com]",
            "https://[v1.fe80::a]",
            "https://[]",
            "https://1.2.3.4.5",
            "https://256.256.256.256",
            "https://4294967296",
            "https://node.example.0",
            "https://node<example.com",
            "https://node%00.example.com",
            "https://node%20.example.com",
            "https://127.0.0.1%00.example.com",
            "https://xn--a.example.com",
        ],
    ),
];

#[test]
fn every_way_in_is_refused_with_its_reason() {
    let mut wrong = Vec::new();
    for (error, urls) in REFUSED {
        for url in *urls {
            if https(url).as_ref() != Err(error) {
                wrong.push(format!("{url:?}: {:?}, not {error:?}", https(url)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn allowing_http_lets_no_disguise_in() {
    for (error, urls) in REFUSED.iter().filter(|(error, _)| *error != WrongScheme && *error != WrongPort) {
        for url in *urls {
            assert_eq!(http(&url.replacen("https", "http", 1)), Err(*error), "{url}");
        }
    }
}

#[test]
fn the_table_is_as_long_as_it_should_be() {
    let urls: HashSet<&str> = REFUSED.iter().flat_map(|(_, urls)| *urls).copied().collect();
    assert_eq!(
        urls.len(),
        REFUSED.iter().map(|(_, urls)| urls.len()).sum::<usize>(),
        "one stands there twice"
    );
    assert!(urls.len() >= 150, "{}", urls.len());
}
