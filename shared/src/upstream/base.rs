//! Where a provider is.

use url::Url;

use super::Scheme;
use crate::config::Config;

/// A URL to put paths behind: no trailing slash, no query, no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    /// The error says what is wrong and repeats nothing.
    pub(crate) fn parse(text: &str, scheme: Scheme) -> Result<Self, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("is not plain ASCII");
        }
        let url = Url::parse(text).map_err(|_| "is not a URL")?;
        match (url.scheme(), scheme) {
            ("https", _) | ("http", Scheme::HttpAllowed) => {}
            ("http", Scheme::HttpsOnly) => return Err("is not https, and ALLOW_HTTP_PROVIDERS is not true"),
            _ => return Err("is not https"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds credentials");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or a fragment");
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The variable's value, or `None` and a problem noted.
    pub(crate) fn read(config: &mut Config, name: &str, text: &str, scheme: Scheme) -> Option<Self> {
        Self::parse(text, scheme).map_err(|why| config.problem(format!("{name} {why}"))).ok()
    }

    /// The host, and the port if it is not the scheme's own.
    pub(crate) fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }

    /// `path` begins with a slash and holds nothing that needs an escape.
    pub(crate) fn with(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BaseUrl, Scheme};

    #[test]
    fn a_base_keeps_its_path_and_loses_its_slash() {
        let with = |base| BaseUrl::parse(base, Scheme::HttpsOnly).map(|base| base.with("/v1/state"));
        assert_eq!(with("https://pay.example"), Ok(String::from("https://pay.example/v1/state")));
        assert_eq!(
            with("https://pay.example:8080/n1/"),
            Ok(String::from("https://pay.example:8080/n1/v1/state"))
        );
    }

    #[test]
    fn a_host_is_told_with_its_port() {
        let host = |base| BaseUrl::parse(base, Scheme::HttpAllowed).map(|base| base.host().to_owned());
        for (base, expected) in [
            ("https://N1.example", "n1.example"),
            ("https://n1.example:443/", "n1.example"),
            ("https://n1.example:8080/a/b", "n1.example:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(host(base).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_not_a_plain_https_url_is_refused() {
        let refused = |base| BaseUrl::parse(base, Scheme::HttpsOnly).unwrap_err();
        assert_eq!(refused("http://pay.example"), "is not https, and ALLOW_HTTP_PROVIDERS is not true");
        assert_eq!(refused("ftp://pay.example"), "is not https");
        assert_eq!(refused("pay.example"), "is not a URL");
        assert_eq!(refused("https://user:pw@pay.example"), "holds credentials");
        assert_eq!(refused("https://pay.example?a=b"), "has a query or a fragment");
        assert_eq!(refused("https://pay.example\\@other"), "is not plain ASCII");
        assert!(BaseUrl::parse("http://127.0.0.1:9/btcpay", Scheme::HttpAllowed).is_ok());
        assert!(BaseUrl::parse("file:///etc/passwd", Scheme::HttpAllowed).is_err());
    }
}
