//! Which function a request is for, as an HTTP API decides it: the most specific path, then the method,
//! then `$default`.

use anyhow::bail;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// The method and path of an `HttpApi` event. Derived order: the most specific route first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    segments: Vec<Segment>,
    /// No method is any method.
    method: (bool, String),
    path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter(String),
    /// `{name+}`: everything that is left.
    Greedy(String),
}

pub(crate) type Parameters = BTreeMap<String, String>;

impl Route {
    pub fn new(method: &str, path: &str) -> anyhow::Result<Self> {
        let any = ["any", "*", "x-any", "x-amazon-apigateway-any-method"];
        let any = any.iter().any(|name| method.eq_ignore_ascii_case(name));
        let path = if path.ends_with("$default") { "$default" } else { path };
        let segments = match path.strip_prefix('/') {
            Some(rest) => rest.split('/').map(Segment::parse).collect(),
            None if path == "$default" => Vec::new(),
            None => bail!("the path {path:?} does not begin with a slash"),
        };
        let method = if any { "ANY".to_owned() } else { method.to_ascii_uppercase() };
        Ok(Self { segments, method: (any, method), path: path.to_owned() })
    }

    pub fn method(&self) -> &str {
        &self.method.1
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn is_default(&self) -> bool {
        self.path == "$default"
    }

    /// As in the event's `routeKey`.
    pub fn key(&self) -> String {
        if self.is_default() { self.path.clone() } else { format!("{} {}", self.method.1, self.path) }
    }

    /// The decoded path parameters, when the (still encoded) path is this route's.
    pub(crate) fn parameters(&self, path: &str) -> Option<Parameters> {
        let mut rest = Some(path.strip_prefix('/')?);
        let mut parameters = Parameters::new();
        let decode = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
        for segment in &self.segments {
            let left = rest?;
            let (head, tail) = left.split_once('/').map_or((left, None), |(head, tail)| (head, Some(tail)));
            rest = tail;
            match segment {
                Segment::Literal(text) if text == head => {}
                Segment::Parameter(name) if !head.is_empty() => {
                    parameters.insert(name.clone(), decode(head));
                }
                Segment::Greedy(name) if !left.is_empty() => {
                    parameters.insert(name.clone(), decode(left));
                    rest = None;
                }
                _ => return None,
            }
        }
        rest.is_none().then_some(parameters)
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Greedy(name.to_owned()),
                None => Self::Parameter(name.to_owned()),
            },
            None => Self::Literal(text.to_owned()),
        }
    }
}

/// Every route of an API, with what each leads to.
pub(crate) struct Table<T> {
    routes: Vec<(Route, String, T)>,
    default: Option<T>,
}

pub(crate) struct Match<'a, T> {
    pub(crate) target: &'a T,
    pub(crate) key: &'a str,
    pub(crate) parameters: Parameters,
}

impl<T> Table<T> {
    pub(crate) fn new(routes: impl Iterator<Item = (Route, T)>) -> Self {
        let (default, routes): (Vec<_>, Vec<_>) = routes.partition(|(route, _)| route.is_default());
        let mut routes: Vec<_> =
            routes.into_iter().map(|(route, to)| (route.clone(), route.key(), to)).collect();
        routes.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        Self { routes, default: default.into_iter().next().map(|(_, target)| target) }
    }

    /// A path that has routes, but none for the method, is `$default` too.
    pub(crate) fn find(&self, method: &str, path: &str) -> Option<Match<'_, T>> {
        let found = self.routes.iter().find_map(|(route, key, target)| {
            let (any, own) = &route.method;
            let parameters = (*any || own == method).then(|| route.parameters(path))??;
            Some(Match { target, key, parameters })
        });
        let default =
            || Some(Match { target: self.default.as_ref()?, key: "$default", parameters: Parameters::new() });
        found.or_else(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(routes: &[(&str, &str)], method: &str, path: &str) -> Option<(String, Parameters)> {
        let routes = routes.iter().map(|(method, path)| (Route::new(method, path).unwrap(), ()));
        Table::new(routes).find(method, path).map(|found| (found.key.to_owned(), found.parameters))
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let routes = [
            ("ANY", "/{rest+}"),
            ("GET", "/v1/nodes/{did}"),
            ("ANY", "/v1/nodes/rebind"),
            ("get", "/v1/nodes/rebind"),
            ("ANY", "$default"),
        ];
        let key = |method, path| found(&routes, method, path).unwrap().0;
        assert_eq!(key("GET", "/v1/nodes/rebind"), "GET /v1/nodes/rebind");
        assert_eq!(key("POST", "/v1/nodes/rebind"), "ANY /v1/nodes/rebind");
        assert_eq!(key("GET", "/v1/nodes/x"), "GET /v1/nodes/{did}");
        assert_eq!(key("GET", "/v1/nodes/x/y"), "ANY /{rest+}");
        assert_eq!(key("GET", "/"), "$default");
    }

    #[test]
    fn path_parameters_are_decoded() {
        let routes = [("GET", "/v1/{a}/b/{rest+}")];
        let (_, parameters) = found(&routes, "GET", "/v1/did%3Akey%20%C3%A9/b/c/d%2Fe").unwrap();
        assert_eq!(parameters["a"], "did:key é");
        assert_eq!(parameters["rest"], "c/d/e");
    }

    #[test]
    fn an_empty_segment_or_another_length_does_not_match() {
        let routes = [("GET", "/v1/nodes/{did}")];
        for path in ["/v1/nodes", "/v1/nodes/", "/v1/nodes/x/", "/v1/nodes/x/y", "v1/nodes/x"] {
            assert!(found(&routes, "GET", path).is_none(), "{path}");
        }
        assert!(found(&routes, "POST", "/v1/nodes/x").is_none());
    }
}
