//! What a function and its route may be called.

use anyhow::{Result, bail, ensure};
use std::fmt;
use std::str::FromStr;

/// Lambda allows 64 characters, and the stack's name comes first.
const LONGEST: usize = 40;
/// Names that Cargo or the workspace has given to something else.
const TAKEN: [&str; 12] = [
    "bench", "cli", "core", "e2e", "gateway", "main", "sandbox", "satchel", "shared", "std", "test",
    "testing",
];
const KEYWORDS: [&str; 12] = [
    "async", "await", "const", "enum", "impl", "match", "move", "static", "struct", "trait", "type", "where",
];
const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];

/// `list_nodes`: directory, package, binary, event and test.
#[derive(Clone, Debug)]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `ListNodes`, the template's resource.
    pub fn pascal(&self) -> String {
        self.0.split('_').map(capitalised).collect()
    }

    /// `list nodes`, until somebody says it better.
    pub fn words(&self) -> String {
        self.0.replace('_', " ")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(text.len() <= LONGEST, "a name has at most {LONGEST} characters");
        // The gateway finds its way back from the resource's name, which a word of one letter hides.
        let word = |word: &str| {
            word.len() > 1
                && word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        ensure!(
            text.split('_').all(word),
            "a name is lower-case words of two letters or more with _ between them, as list_nodes"
        );
        ensure!(!TAKEN.contains(&text) && !KEYWORDS.contains(&text), "{text} is something else's name");
        Ok(Self(text.to_owned()))
    }
}

/// `GET /v1/nodes/{did}`.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: String,
    pub path: String,
}

impl Route {
    pub fn parameters(&self) -> Vec<&str> {
        self.path.split('/').filter_map(parameter).collect()
    }

    /// The path with something in place of each parameter.
    pub fn example(&self) -> String {
        let segments = self.path.split('/').map(|segment| parameter(segment).unwrap_or(segment));
        segments.collect::<Vec<_>>().join("/")
    }

    /// Whether a function of this template has it.
    pub fn stands_in(&self, template: &str) -> bool {
        let event = format!("Path: \"{}\", Method: {} }}", self.path, self.method);
        template.contains(&event)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl FromStr for Route {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((method, path)) = text.split_once(' ') else { bail!("a route is a method and a path") };
        ensure!(METHODS.contains(&method), "the method is one of {}", METHODS.join(", "));
        let Some(rest) = path.strip_prefix("/v1/") else { bail!("the path begins with /v1/") };
        let plain = |segment: &str| {
            !segment.is_empty()
                && segment.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        let named = |segment: &str| {
            parameter(segment).is_some_and(|name| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        };
        ensure!(
            rest.split('/').all(|segment| plain(segment) || named(segment)),
            "the path is lower-case words and {{parameters}}, as /v1/nodes/{{did}}"
        );
        Ok(Self { method: method.to_owned(), path: path.to_owned() })
    }
}

/// The name in `{name}`.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

pub fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::{Name, Route};

    #[test]
    fn names_are_snake_case_and_nobody_elses() {
        assert_eq!("list_nodes".parse::<Name>().unwrap().pascal(), "ListNodes");
        for bad in [
            "",
            "List",
            "list-nodes",
            "list__nodes",
            "_list",
            "9lives",
            "make_a_node",
            "shared",
            "async",
            "../x",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!("a".repeat(41).parse::<Name>().is_err());
    }

    #[test]
    fn routes_are_a_method_and_a_versioned_path() {
        let route: Route = "GET /v1/nodes/{did}/uses".parse().unwrap();
        assert_eq!(route.parameters(), ["did"]);
        assert_eq!(route.example(), "/v1/nodes/did/uses");
        for bad in ["/v1/nodes", "get /v1/nodes", "GET /nodes", "GET /v1/", "GET /v1/Nodes", "GET /v1/a//b"] {
            assert!(bad.parse::<Route>().is_err(), "{bad}");
        }
    }
}
