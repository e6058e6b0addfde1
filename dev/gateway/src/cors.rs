//! CORS as an HTTP API does it: it answers preflights itself, and writes the headers of every answer.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_yaml_ng::Value;

/// `CorsConfiguration` of the API.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    pub allow_origins: Vec<String>,
    pub allow_methods: Vec<String>,
    pub allow_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    pub allow_credentials: bool,
    pub max_age: Option<u64>,
}

impl Cors {
    /// `None` when the (resolved) properties allow no origin.
    pub(crate) fn read(properties: &Value) -> Option<Self> {
        let cors = &properties["CorsConfiguration"];
        if cors == &Value::Bool(true) {
            return Some(Self { allow_origins: vec!["*".to_owned()], ..Self::default() });
        }
        let list = |key: &str| -> Vec<String> {
            let one = cors[key].as_str().map(|text| vec![text]);
            let many = || cors[key].as_sequence().into_iter().flatten().filter_map(Value::as_str).collect();
            let texts = one.unwrap_or_else(many).into_iter().map(str::to_owned);
            texts.filter(|text| !text.is_empty()).collect()
        };
        let max_age = cors["MaxAge"].as_u64().or_else(|| cors["MaxAge"].as_str()?.parse().ok());
        let cors = Self {
            allow_origins: list("AllowOrigins"),
            allow_methods: list("AllowMethods"),
            allow_headers: list("AllowHeaders"),
            expose_headers: list("ExposeHeaders"),
            allow_credentials: cors["AllowCredentials"] == true || cors["AllowCredentials"] == "true",
            max_age,
        };
        (!cors.allow_origins.is_empty()).then_some(cors)
    }

    pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The API's own headers replace whatever the function said.
    pub(crate) fn write(&self, request: &HeaderMap, answer: &mut HeaderMap, preflight: bool) {
        let ours: Vec<_> =
            answer.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
        for name in ours {
            answer.remove(name);
        }
        let Some(origin) = request.get(header::ORIGIN) else { return };
        let allowed = |allowed: &String| allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        if !self.allow_origins.iter().any(allowed) {
            return;
        }
        let any = self.allow_origins.iter().any(|allowed| allowed == "*") && !self.allow_credentials;
        let origin = if any { HeaderValue::from_static("*") } else { origin.clone() };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.allow_credentials {
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if !preflight {
            set(answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose_headers.join(","));
            return;
        }
        set(answer, header::ACCESS_CONTROL_ALLOW_METHODS, &self.allow_methods.join(","));
        set(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, &self.allow_headers.join(","));
        set(
            answer,
            header::ACCESS_CONTROL_MAX_AGE,
            &self.max_age.map_or_else(String::new, |age| age.to_string()),
        );
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
